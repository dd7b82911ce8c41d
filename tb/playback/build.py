"""Shared parts of the playback of vector MACs and processing elements: building programs, ports as slices of words."""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vsq.tb.simulation import build_log, objcache
from vsq.tb.simulation.simulators import Simulator

TOP = "playback"


def slices(widths: Mapping[str, int], word: str) -> tuple[list[str], int]:
    """Return the connections of ports to slices of a word, from its least significant bit, and the bits in all."""
    connections, low = [], 0
    for name, width in widths.items():
        connections.append(f".{name}({word}[{low + width - 1}:{low}])")
        low += width
    return connections, low


def joined(widths: Iterable[int], fields: Iterable[int]) -> int:
    """Return fields as one word, the first in the least significant bits."""
    word, low = 0, 0
    for width, field in zip(widths, fields, strict=True):
        word |= field << low
        low += width
    return word


def compiled(
    simulator: Simulator, sources: Mapping[str, str], folder: Path, flags: Sequence[str] = (), top: str = TOP
) -> list[str]:
    """Build the module ``top`` of the sources in ``folder``, and return the command that runs it.

    Verilator's builds are cached by a hash of the sources, the flags and the tools' versions.

    Parameters
    ----------
    simulator
        Verilator or Icarus.
    sources
        Text of each file by name.
    folder
        Made if absent.
    flags
        Verilator's own.

    Raises
    ------
    RuntimeError
        If the sources do not compile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sources.items():
        (folder / name).write_text(text)
    program = folder.resolve() / top
    if simulator.name == "icarus":
        call(simulator, ["iverilog", "-g2012", "-s", top, "-o", str(program), *sources], folder)
        return ["vvp", "-n", str(program)]
    options = ["-Wno-fatal", "-Wno-lint", *flags, "--top", top, "--Mdir", "build", "-o", str(program)]
    kept = objcache.path(top, "", simulator.version, objcache.compiler_version("g++"), flags, sorted(sources.items()))
    command = [str(simulator.executable), *options, *sources]
    objcache.make_once(program, kept, lambda: call(simulator, command, folder))
    return [str(program)]


def call(simulator: Simulator, command: Sequence[str], folder: Path) -> str:
    """Run a command of the simulator in ``folder``, and return what it prints.

    Raises
    ------
    RuntimeError
        If it fails; the message has the errors that it printed.
    """
    environment = {**os.environ, **simulator.environment(), "OBJCACHE": objcache.COMMAND}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("\n".join([f"{command[0]} failed:", *build_log.reasons(done.stdout + done.stderr)]))
    return done.stdout
