"""The files of a generated design: Verilog, its manifest, and test vectors with a bench."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from vsq.golden.contract.configuration import Configuration, configuration
from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import write_text
from vsq.hw.emit.design import design
from vsq.hw.emit.names import checked
from vsq.tb.vectors.designs import write_mac_vectors, write_pe_vectors

_VECTORS: Mapping[str, Callable[..., list[Path]]] = {
    "mac": write_mac_vectors,
    "mac_axis": partial(write_mac_vectors, interface="axis"),
    "pe": write_pe_vectors,
}


def generate(
    config: Configuration | str,
    out: str | Path = ".",
    name: str | None = None,
    *,
    vectors: int | None = None,
    seed: int = 1,
    interface: str = "native",
) -> list[Path]:
    """Write the files of a vector MAC or a processing element; return their paths.

    Args:
        config: A vector MAC or a processing element: its configuration, or a text such as ``4/4U/4/6`` or
            ``4/4/4/6@lanes=32``.
        out: Folder of the files, made if absent.
        name: Of the module and its files; None takes one that follows from the configuration.
        vectors, seed: Number of test vectors, of an element commands, and their seed; None writes none.
        interface: ``native``, or ``axis`` for a vector MAC with AXI4-Stream ports.

    Raises:
        InputError: If a value is out of range, the name is none of Verilog's, AXI4-Stream is asked for an element, or a
            file cannot be written.
    """
    made, out = design(configuration(config), interface), Path(out)
    if vectors is not None and vectors < 1:
        raise InputError(f"vectors {vectors}: at least 1 is needed; ask for more, or for none")
    if seed < 0:
        raise InputError(f"seed {seed}: seeds are not negative; choose another")
    name = checked(name or made.default_name)
    files = [out / f"{name}.v", out / f"{name}.json"]
    verilog, manifest = made.verilog(name), made.manifest(name)
    write_text(files[0], verilog)
    write_text(files[1], json.dumps(manifest, indent=2) + "\n")
    if vectors:
        files += _VECTORS[made.kind](made.config, out, vectors, seed, name)
    return files
