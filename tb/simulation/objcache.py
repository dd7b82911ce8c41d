"""A cache of compiled files across runs.

As a command this is a compiler cache for Verilator's own runtime, which is the same in every build and takes most of
its time. Verilator's makefiles put the command in ``OBJCACHE`` before the compiler's; it keeps the objects of the
sources ``verilated*.cpp`` and passes every other command on. An object's key is a hash of the compiler's version, the
full command and the source's size and time, so that no changed tool or flag meets an old object.

Whole simulators are cached in the same folder, by a hash of the RTL, the tools and the flags.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

COMMAND = f"{sys.executable} -P {Path(__file__).resolve()}"
_KEPT = 100  # files of one stem; beyond, the least recently used go


def folder() -> Path:
    """Return the folder of the cache: ``vsq/verilator`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "vsq", "verilator")


def path(stem: str, suffix: str, *key: object) -> Path:
    """Return the place of the file that ``key`` determines; a stem is a kind of files."""
    return folder() / f"{stem}-{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}{suffix}"


def compiler_version(compiler: str) -> str:
    """Return what a compiler says of itself."""
    return subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout


def compile_once(command: Sequence[str]) -> int:
    """Run a compiler's command, or copy the object that an earlier run left; return the exit code."""
    source = Path(command[-1])
    if not source.name.startswith("verilated") or "-c" not in command or "-o" not in command:
        return subprocess.call(command)
    stat = source.stat()
    kept = path(source.stem, ".o", compiler_version(command[0]), list(command), stat.st_size, stat.st_mtime_ns)
    try:
        make_once(Path(command[command.index("-o") + 1]), kept, lambda: subprocess.check_call(command))
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


def make_once(output: Path, kept: Path, make: Callable[[], object]) -> None:
    """Copy ``kept`` to ``output``, or call ``make``, which writes ``output`` or raises, and keep a copy of it.

    One process at a time makes a file, so that the others find it.
    """
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        lock = kept.with_suffix(".lock").open("w")
    except OSError as error:
        print(f"built files are not kept: {error}", file=sys.stderr)
        make()
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            os.utime(kept)
            shutil.copy(kept, output)
            return
        make()
        part = kept.with_suffix(".part")
        shutil.copy(output, part)
        os.replace(part, kept)
        _prune(kept)


def _prune(newest: Path) -> None:
    """Remove the least recently used files of the stem of ``newest``."""
    stem = newest.name.rpartition("-")[0]
    kept = [file for file in newest.parent.glob(f"{stem}-*") if file.suffix == newest.suffix]
    with suppress(FileNotFoundError):  # another process removes them too
        for file in sorted(kept, key=lambda file: -file.stat().st_mtime)[_KEPT:]:
            file.unlink()
            file.with_suffix(".lock").unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit(compile_once(sys.argv[1:]))
