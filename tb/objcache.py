"""A compiler cache for Verilator's own runtime, which is the same in every build and takes most of its time.

Verilator's makefiles put the command in ``OBJCACHE`` before the compiler's. This one keeps the objects of the sources
``verilated*.cpp`` and passes every other command on. An object's key is a hash of the compiler's version, the full
command and the source's size and time, so that no changed tool or flag meets an old object.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = f"{sys.executable} {Path(__file__).resolve()}"


def folder() -> Path:
    """Return where objects are kept: ``vsq/verilator`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "vsq", "verilator")


def _cached(command: Sequence[str]) -> tuple[Path, Path] | None:
    """Return the command's output and its place in the cache, or None if the command is not ours to keep."""
    source = Path(command[-1])
    if not source.name.startswith("verilated") or "-c" not in command or "-o" not in command:
        return None
    compiler = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True).stdout
    stat = source.stat()
    key = repr((compiler, list(command), stat.st_size, stat.st_mtime_ns))
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return Path(command[command.index("-o") + 1]), folder() / f"{source.stem}-{digest}.o"


def compile_once(command: Sequence[str]) -> int:
    """Run a compiler's command, or copy the object that an earlier run left; return the exit code."""
    cached = _cached(command)
    if cached is None:
        return subprocess.call(command)
    output, kept = cached
    with _alone(kept) as writable:
        if kept.exists():
            shutil.copyfile(kept, output)
            return 0
        code = subprocess.call(command)
        if code == 0 and writable:
            part = kept.with_suffix(".part")
            shutil.copyfile(output, part)
            os.replace(part, kept)
        return code


@contextmanager
def _alone(kept: Path) -> Iterator[bool]:
    """Let one process at a time make an object, so that the others find it; give whether the folder can be written."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        lock = kept.with_suffix(".lock").open("w")
    except OSError as error:
        print(f"objects are not kept: {error}", file=sys.stderr)
        yield False
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield True


if __name__ == "__main__":
    raise SystemExit(compile_once(sys.argv[1:]))
