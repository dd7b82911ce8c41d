"""The kinds of companion files, in one table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from vsq.golden.contract.errors import InputError
from vsq.hw.emit.companions.assertions import assertions
from vsq.hw.emit.companions.c_header import c_header
from vsq.hw.emit.companions.cfu import cfu
from vsq.hw.emit.companions.constraints import filelist, librelane, sdc
from vsq.hw.emit.companions.core import core
from vsq.hw.emit.companions.scripts import gowin, quartus, vivado, yosys
from vsq.hw.emit.companions.systemverilog import systemverilog
from vsq.hw.emit.companions.waves import gtkw
from vsq.hw.emit.companions.words import Manifest

FREQUENCY_MHZ = 100.0
_FREQUENCIES = 0.001, 10_000.0  # their periods have picoseconds


class Kind(NamedTuple):
    """A kind of companion: what it is, and the texts by file name, from a manifest and the names of a bench's files.

    The manifest's ``clock`` has the entry ``frequency_mhz`` more, which the kinds that are ``timed`` read.
    """

    about: str
    write: Callable[[Manifest, Sequence[str]], dict[str, str]]
    timed: bool = False


KINDS: Mapping[str, Kind] = {
    "core": Kind("FuseSoC core with targets lint and synth, and sim if there are vectors", core),
    "librelane": Kind("LibreLane configuration", librelane, timed=True),
    "sdc": Kind("timing constraints", sdc, timed=True),
    "filelist": Kind("file list for simulators' -f", filelist),
    "svh": Kind("SystemVerilog package, stream interface and wrapper", systemverilog),
    "sva": Kind("SystemVerilog assertions, bound to the design", assertions),
    "c": Kind("C header that packs and unpacks words", c_header),
    "gtkw": Kind("GTKWave save file", gtkw),
    "yosys": Kind("Yosys script for ECP5", yosys, timed=True),
    "gowin": Kind("clock for Gowin's tools", gowin, timed=True),
    "vivado": Kind("Vivado script and clock", vivado, timed=True),
    "quartus": Kind("Quartus script and clock", quartus, timed=True),
    "cfu": Kind("custom function unit for CFU-Playground, of a vector MAC with plain ports", cfu),
}


def known_kinds(kinds: Iterable[str]) -> list[str]:
    """Return kinds of companions, each once.

    Raises:
        InputError: If there is no such kind.
    """
    for kind in (given := list(dict.fromkeys(kinds))):
        if kind not in KINDS:
            raise InputError(f"companion {kind!r}: choose among {', '.join(KINDS)}")
    return given


def checked_frequency(frequency: float, kinds: Iterable[str]) -> float:
    """Return a frequency in MHz for companions of these kinds.

    Raises:
        InputError: If it is out of range, or no kind reads it.
    """
    if not _FREQUENCIES[0] <= frequency <= _FREQUENCIES[1]:
        rule = "it is {:g} to {:g} MHz".format(*_FREQUENCIES)
        raise InputError(f"frequency {frequency:g} MHz: {rule}; give one such as {FREQUENCY_MHZ:g}")
    if not any(KINDS[kind].timed for kind in kinds):
        timed = ", ".join(name for name, kind in KINDS.items() if kind.timed)
        raise InputError(f"frequency {frequency:g} MHz: no file has it; give a companion among {timed} too")
    return frequency


def companion_files(
    kinds: Iterable[str], manifest: Manifest, bench: Sequence[str] = (), frequency: float = FREQUENCY_MHZ
) -> dict[str, str]:
    """Return the texts of companion files by file name.

    Args:
        kinds: Among :data:`KINDS`.
        manifest: Of the design.
        bench: Names of the files of its bench in plain Verilog, if there is one.
        frequency: Of the clock, in MHz, for constraints.
    """
    manifest = {**manifest, "clock": {**manifest["clock"], "frequency_mhz": frequency}}
    texts: dict[str, str] = {}
    for kind in known_kinds(kinds):
        texts |= KINDS[kind].write(manifest, bench)
    return texts
