"""FuseSoC core description (CAPI2), with targets for Verilator's lint, Icarus and Yosys."""

import re
from collections.abc import Sequence

from vsq.hw.emit.companions.words import Manifest

_CORE = """CAPI=2:
name: ::{name}:{version}
description: {title}

filesets:
  rtl:
    files: [{name}.v]
    file_type: verilogSource
{fileset}
targets:
  default: &default
    filesets: [rtl]
    toplevel: {name}
  lint:
    <<: *default
    description: Verilator's lint
    flow: lint
    flow_options:
      tool: verilator
      verilator_options: [-Wall]
  synth:
    <<: *default
    description: Yosys for ECP5 FPGAs, to a netlist in JSON
    flow: generic
    flow_options:
      tool: yosys
      arch: ecp5
      output_format: json
{target}"""
_FILESET = """  bench:
    files:
{files}
    file_type: verilogSource
"""
_TARGET = """  sim:
    description: the self-checking bench in Icarus
    flow: sim
    flow_options:
      tool: icarus
    filesets: [rtl, bench]
    toplevel: {name}_tb
"""


def core(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.core``; its target ``sim`` is there if a bench is.

    Source: the CAPI2 reference of FuseSoC 2.4 and Edalize's flows ``lint``, ``sim`` and ``generic``.
    """
    number = re.match(r"\d+\.\d+\.\d+", manifest["versions"]["vsq"])
    files = [f"    - {file}" if file.endswith(".v") else _data(file) for file in bench]
    text = _CORE.format(
        name=manifest["name"],
        version=number[0] if number else "0.0.0",
        title=f'"{manifest["title"]}"',
        fileset=_FILESET.format(files="\n".join(files)) if bench else "",
        target=_TARGET.format(name=manifest["name"]) if bench else "",
    )
    return {f"{manifest['name']}.core": text}


def _data(file: str) -> str:
    """Return the entry of a file that the bench reads where it runs."""
    return f"    - {file}: {{file_type: user, copyto: {file}}}"
