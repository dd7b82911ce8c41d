"""Shared libraries of the kernels, compiled when they are first needed.

``CXX`` names the compiler, ``g++`` without it, as for ``torch.compile``. A library is kept in the user's cache folder
by a hash of its source, the flags, the compiler's version and the processor. Its own hash is appended to it, so that a
damaged one is never loaded, but compiled anew.
"""

import ctypes
import hashlib
import logging
import os
import shlex
import subprocess
from functools import cache
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import replacing

FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fPIC", "-shared")

_DIGEST = hashlib.sha256().digest_size

_LOGGER = logging.getLogger(__name__)


@cache
def library(name: str) -> ctypes.CDLL | None:
    """Return the functions of the source file ``name``.cpp; None where it cannot be compiled, which is logged once."""
    try:
        return ctypes.CDLL(str(built(Path(__file__).with_name(f"{name}.cpp"))))
    except (InputError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        told: str = getattr(error, "stderr", None) or ""
        lines = (told.strip() or str(error)).splitlines()
        _say(next((line for line in lines if "error" in line or "cannot" in line), lines[-1]))
        return None


@cache
def _say(reason: str) -> None:
    _LOGGER.warning("no C++ kernels, so PyTorch computes instead, more slowly: %s", reason)


def built(source: Path) -> Path:
    """Return the library of a source file, which can be loaded, compiled unless it was before.

    Raises:
        InputError: If the cache cannot be written.
        OSError: If there is no compiler.
        RuntimeError: If the user has no home, or the compiler succeeds without a library that can be loaded.
        ValueError: If ``CXX`` ends within quotation marks.
        subprocess.CalledProcessError: If the compiler fails.
    """
    compiler = shlex.split(os.environ.get("CXX") or "") or ["g++"]
    command = [*compiler, *FLAGS]
    told = _run([*command, "-###", "-E", "-x", "c++", os.devnull])  # its version, and what "native" stands for
    key = repr((command, told, source.read_text()))
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    kept = Path(base, "vsq", "kernels", f"{source.stem}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.so")
    if not _is_good(kept):
        with replacing(kept) as part:
            _run([*command, str(source), "-o", str(part)])
            with part.open("ab") as file:
                file.write(_digest(part.read_bytes()))
            if not _is_good(part):
                raise RuntimeError(f"{shlex.join(compiler)} made no library that can be loaded")
    return kept


def _is_good(path: Path) -> bool:
    """Return whether a library is there, whole and can be loaded."""
    try:
        content = path.read_bytes()
        whole = content[-_DIGEST:] == _digest(content[:-_DIGEST])
        return whole and ctypes.CDLL(str(path)) is not None
    except OSError:
        return False


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _run(command: list[str]) -> str:
    """Return what a program prints to its standard error."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stderr
