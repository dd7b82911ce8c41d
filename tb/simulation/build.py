"""Simulations without Python, how they are built and run, and excerpts from the logs of failed commands."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from vsq.tb.simulation import objcache
from vsq.tb.simulation.simulators import Simulator

TOP = "playback"

_ERROR = re.compile(r"\berror\b|\bfatal\b|not found|no such file|undefined reference|\*\*\* ", re.IGNORECASE)
_LINES = 30


def compiled(
    simulator: Simulator, sources: Mapping[str, str], folder: Path, flags: Sequence[str] = (), top: str = TOP
) -> list[str]:
    """Build the module ``top`` in a folder, which is made if absent, and return the command that runs it.

    Verilator's builds are cached by a hash of the sources, texts by file name, its flags and the tools' versions.
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
    """Return what a command of the simulator prints in ``folder``, or raise its errors as a RuntimeError."""
    environment = {**os.environ, **simulator.environment(), "OBJCACHE": objcache.COMMAND}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("\n".join([f"{command[0]} failed:", *reasons(done.stdout + done.stderr)]))
    return done.stdout


def reasons(text: str) -> list[str]:
    """Return the lines of a log that state the reason of a failure, or its last ones if none does."""
    lines = text.splitlines()
    return [line for line in lines if _ERROR.search(line)][:_LINES] or lines[-_LINES:]


def excerpt(log: Path) -> str:
    """Return what failed, why, and where the whole log is."""
    return "\n".join([f"the {log.stem} failed", *reasons(log.read_text(errors="replace")), f"log: {log}"])
