"""The files of a generated design: Verilog, its manifest, and test vectors with a bench."""

import json
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Design, PeConfig, configuration
from vsq.golden.io.files import write_text
from vsq.hw.emit import axis, mac_manifest, pe_manifest
from vsq.hw.emit import mac as mac_verilog
from vsq.hw.emit import pe as pe_verilog
from vsq.hw.emit.names import checked
from vsq.tb.vectors import mac as mac_vectors
from vsq.tb.vectors import pe as pe_vectors

INTERFACES = ("native", "axis")


def generate(
    design: Design | str,
    out: str | Path = ".",
    name: str | None = None,
    *,
    vectors: int | None = None,
    seed: int = 1,
    interface: str = "native",
) -> list[Path]:
    """Write the files of a vector MAC or a processing element; return their paths.

    Parameters
    ----------
    design
        A vector MAC or a processing element: its configuration, or a text such as ``4/4U/4/6`` or ``4/4/4/6@lanes=32``.
    out
        Folder of the files, made if absent.
    name
        Of the module and its files; None takes one that follows from the configuration.
    vectors, seed
        Number of test vectors, of an element commands, and their seed; None writes none.
    interface
        ``native``, or ``axis`` for a vector MAC with AXI4-Stream ports.

    Raises
    ------
    InputError
        If a value is out of range, the name is none of Verilog's, AXI4-Stream is asked for an element, or a file
        cannot be written.
    """
    config, out = configuration(design), Path(out)
    if interface not in INTERFACES:
        raise InputError(f"interface {interface!r}: choose one of {', '.join(INTERFACES)}")
    if vectors is not None and vectors < 1:
        raise InputError(f"vectors {vectors}: at least 1 is needed; ask for more, or for none")
    if seed < 0:
        raise InputError(f"seed {seed}: seeds are not negative; choose another")
    if interface == "axis" and isinstance(config, PeConfig):
        raise InputError("--interface axis: a processing element has plain ports alone; leave it out, or --pe")
    if isinstance(config, PeConfig):
        name = checked(name or pe_verilog.default_name(config))
        verilog, manifest = pe_verilog.emit(config, name), pe_manifest.manifest(config, name)
    else:
        name = checked(name or (axis if interface == "axis" else mac_verilog).default_name(config))
        if interface == "axis":
            verilog, manifest = axis.emit(config, name), axis.manifest(config, name)
        else:
            verilog, manifest = mac_verilog.emit(config, name), mac_manifest.manifest(config, name)
    files = [out / f"{name}.v", out / f"{name}.json"]
    write_text(files[0], verilog)
    write_text(files[1], json.dumps(manifest, indent=2) + "\n")
    if vectors:
        if isinstance(config, PeConfig):
            files += pe_vectors.write_vectors(config, out, vectors, seed, name)
        else:
            files += mac_vectors.write_vectors(config, out, vectors, seed, name, interface=interface)
    return files
