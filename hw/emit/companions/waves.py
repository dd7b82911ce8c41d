"""GTKWave save file: the ports by stream, every element of a list as a number of its own."""

import io
from collections.abc import Sequence

from vcd.gtkw import GTKWSave  # pyvcd, which Amaranth installs

from vsq.hw.emit.companions.words import Manifest


def gtkw(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.gtkw``, for the waves of the bench if there is one, else of the module alone.

    Signed fields are shown as signed decimals, others as unsigned ones.
    """
    name, text = manifest["name"], io.StringIO()
    scope, save = f"{name}_tb.dut" if bench else name, GTKWSave(text)
    ports = {port["name"]: port for port in manifest["ports"]}
    grouped: set[str] = set()
    groups = [(s["name"], [s["valid"], s["ready"], *s["payload"]]) for s in manifest["streams"]]
    for _, names in groups:
        grouped.update(names)
    for port in ports:
        if port not in grouped:
            save.trace(f"{scope}.{port}")
    for group, names in groups:
        with save.group(group):
            for port in names:
                _trace(save, scope, ports[port])
    return {f"{name}.gtkw": text.getvalue()}


def _trace(save: GTKWSave, scope: str, port: Manifest) -> None:
    """Add a port: as it is if it is one number, else as a group of its fields' elements."""
    width, fields = port["width"], port["fields"]
    name = f"{scope}.{port['name']}" + (f"[{width - 1}:0]" if width > 1 else "")
    if len(fields) == 1 and fields[0]["count"] == 1:
        save.trace(name, datafmt="signed" if fields[0]["signed"] else "dec")
        return
    with save.group(port["name"], closed=True):
        for field in fields:
            for index in range(field["count"]):
                low = field["bit"] + index * field["width"]
                # GTKWave counts the bits of a name from its most significant one.
                bits = " ".join(f"({width - 1 - bit}){name}" for bit in reversed(range(low, low + field["width"])))
                label = field["name"] + (f"[{index}]" if field["count"] > 1 else "")
                save.trace(f"#{{{label}}} {bits}", datafmt="signed" if field["signed"] else "dec")
