"""A design of the user's, such as edited Verilog or a netlist, in the place of the generated one."""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.tb.regression.job import TOP
from vsq.tb.regression.shell import Ports, contract, driven, shell

_NAME = r"(?:\\\S+|[A-Za-z_][\w$]*)"
_NO_CODE = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)  # strings and comments
_MODULE = re.compile(rf"\bmodule\s+(?:automatic\s+|static\s+)?({_NAME})")
_INSTANCE = re.compile(rf"(?<![\w$.\\])({_NAME})\s*(?:#\s*[(\d]|\s{_NAME}\s*(?:\[[^\]]*\]\s*)?\()")


@dataclass(frozen=True, kw_only=True)
class Dut:
    """A text with the top module :data:`vsq.tb.regression.job.TOP`; ``options`` name its files on the command line."""

    verilog: str
    options: str = ""

    @classmethod
    def read(cls, config: Configuration, files: Sequence[Path], top: str | None = None) -> "Dut":
        """Read files into one text, with a shell of the name :data:`vsq.tb.regression.job.TOP` around their top module.

        Args:
            config: Of the design. Its top module needs the ports of the emitted one, and may have further outputs.
            files: Verilog. The first one has the top module.
            top: The top module. None takes the one that ``vsq generate`` names by default, or else the only module of
                the first file that is never instantiated.

        Raises:
            InputError: If a file cannot be read, there is no top module, or its ports are not the configuration's.
        """
        texts = []
        for path in files:
            try:
                texts.append(path.read_text())
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{path}: no Verilog can be read ({error}); give another file") from None
        codes = [_NO_CODE.sub(" ", text) for text in texts]
        for path, code in zip(files, codes, strict=True):
            if "`include" in code:
                raise InputError(f"{path}: `include is not followed; give the file that it names with another --dut")
        top = _choose(config, files[0], codes, top)
        if wrong := _differences(_ports(files[0], texts[0], top), contract(config)):
            raise InputError(f"{files[0]}: module {top} is no {config.full_name}: {'; '.join(wrong)}")
        if top != TOP or not driven(config):
            if any(TOP in _MODULE.findall(code) for code in codes):
                raise InputError(f"{files[0]}: {TOP} is the name of the top module in simulation; rename that module")
            texts.append(shell(config, top))
        verilog = "\n".join(f'`line 1 "{path}" 0\n{text}' for path, text in zip([*files, TOP], texts, strict=False))
        options = [part for path in files for part in ("--dut", str(path))]
        return cls(verilog=verilog, options=shlex.join([*options, "--top", top]))


def _choose(config: Configuration, path: Path, codes: Sequence[str], asked: str | None) -> str:
    """Return the name of the top module."""
    modules: list[str] = _MODULE.findall(codes[0])
    top = design(config).default_name if asked is None else asked
    if top in modules:
        return top
    if asked is not None:
        raise InputError(f"{path}: there is no module {asked!r} in it; choose among {', '.join(modules) or 'none'}")
    if not modules:
        raise InputError(f"{path}: there is no module in it; give a Verilog file")
    used = {name for code in codes for name in _INSTANCE.findall(code)}
    unused = [name for name in modules if name not in used]
    if len(unused) != 1:
        raise InputError(
            f"{path}: {len(unused)} of its modules are never instantiated ({', '.join(unused) or 'none'}); "
            "name the top module with --top"
        )
    return unused[0]


def _ports(path: Path, text: str, top: str) -> Ports:
    """Return the ports of one module of a file."""
    try:
        out = run_yosys(["read_verilog -sv -lib design.v", "write_json out.json"], {"design.v": text}, ["out.json"])
    except YosysError as error:
        message = re.sub(r"design\.v:(\d+): (?:ERROR: *)?", r"line \1: ", str(error))
        raise InputError(
            f"{path}: Yosys cannot read it ({message}); mend it, and give models of cells with another --dut"
        ) from None
    ports = json.loads(out["out.json"])["modules"][top.removeprefix("\\")]["ports"]
    return {name: (about["direction"], len(about["bits"])) for name, about in ports.items()}


def _differences(ports: Ports, contract: Ports) -> list[str]:
    """Return in words which ports are missing, other than the contract's, or inputs that nothing would drive."""

    def bits(width: int) -> str:
        return f"{width} bit{'s' * (width > 1)}"

    wrong = []
    for name, (direction, width) in contract.items():
        if name not in ports:
            wrong.append(f"{direction} {name} of {bits(width)} is missing")
        elif (given := ports[name]) != (direction, width):
            wrong.append(f"{name} is an {given[0]} of {bits(given[1])}, not an {direction} of {bits(width)}")
    extra = ((name, way) for name, (way, _) in ports.items() if name not in contract and way != "output")
    return wrong + [f"{way} {name} is none of its ports" for name, way in extra]
