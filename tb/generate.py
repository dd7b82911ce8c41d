"""What ``vsq generate`` writes: Verilog, its manifest, and test vectors."""

import json
import re
from pathlib import Path

from golden.config import MacConfig
from golden.errors import InputError
from golden.files import write_text
from golden.pe_config import PeConfig
from hw import axis
from hw import manifest as mac_manifest
from hw import verilog as mac_verilog
from hw.pe import manifest as pe_manifest
from hw.pe import verilog as pe_verilog
from tb.vectors import write_vectors


def generate(
    config: MacConfig | PeConfig,
    out: Path,
    name: str | None = None,
    *,
    vectors: int | None = None,
    seed: int = 1,
    interface: str = "native",
) -> list[Path]:
    """Write the files of a vector MAC or a processing element; return their paths.

    Parameters
    ----------
    config, name
        What is generated, and the name of its module and files; None takes the default.
    out
        Folder of the files.
    vectors, seed
        Number of test vectors, of vector MACs only, and their seed.
    interface
        ``native``, or ``axis`` for a vector MAC with AXI4-Stream ports.

    Raises
    ------
    InputError
        If the name is none of Verilog's, vectors or AXI4-Stream are asked for an element, vectors for AXI4-Stream, or a
        file cannot be written.
    """
    if interface == "axis" and (vectors or isinstance(config, PeConfig)):
        raise InputError("--interface axis: it is of a vector MAC without test vectors; leave out --pe and --vectors")
    if isinstance(config, PeConfig):
        if vectors:
            raise InputError("--vectors: they are of a vector MAC; leave them out with --pe, and see 'vsq network'")
        name = _checked(name or pe_verilog.default_name(config))
        verilog, manifest = pe_verilog.emit(config, name), pe_manifest.manifest(config, name)
    else:
        name = _checked(name or mac_verilog.default_name(config))
        if interface == "axis":
            verilog, manifest = axis.emit(config, name), axis.manifest(config, name)
        else:
            verilog, manifest = mac_verilog.emit(config, name), mac_manifest.manifest(config, name)
    files = [out / f"{name}.v", out / f"{name}.json"]
    write_text(files[0], verilog)
    write_text(files[1], json.dumps(manifest, indent=2) + "\n")
    if vectors and isinstance(config, MacConfig):
        files += write_vectors(config, out, vectors, seed, name)
    return files


def _checked(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise InputError(f"name {name!r}: a Verilog module's name is letters, digits and _, no digit first; rename it")
    return name
