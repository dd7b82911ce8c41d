"""Files: atomic writes, results that an interrupted run resumes from, and arrays."""

import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import get_ident
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``, which becomes ``path`` when the block ends without an error.

    Raises:
        InputError: If the folder or the file cannot be written.
    """
    if not path.name:
        raise InputError(f"{path}: that is a folder; give a file")
    part = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}); choose another place") from None
    finally:
        if part.exists():
            part.unlink()


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files go to ``folder`` when the block ends without an error: all of them, or none.

    Raises:
        InputError: If the folder or a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".", suffix=".part") as part:
            yield Path(part)
            files = [(file, folder / file.name) for file in Path(part).iterdir()]
            if taken := next((place for _, place in files if place.is_dir()), None):
                raise InputError(f"{taken}: cannot be written (it is a folder); choose another place")
            for file, place in files:
                os.replace(file, place)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error}); choose another place") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, as :func:`replacing` does."""
    with replacing(path) as part:
        part.write_text(text)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file.

    Raises:
        ValueError: If the file cannot be read, or is none; the message says which.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except OSError as error:
        raise ValueError(error.strerror or "no .npz file") from None
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        raise ValueError("no .npz file") from None


@dataclass
class Store:
    """Results by key, each written as soon as it is known.

    Raises:
        InputError: If the file holds something else, or cannot be written.
    """

    path: Path | None  # read if it exists; None keeps the results in memory alone
    about: Mapping[str, Any]  # settings, versions and digests of inputs that all results follow from, as JSON has them
    name: str  # of the results in the file
    anew: bool = False  # whether results that follow from something else are dropped; otherwise their file is refused
    results: dict[str, Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        content = read_results(self.path, self.name)
        odd = next((key for key in self.about if content.get(key) != self.about[key]), None)
        if odd is None:
            self.results = content[self.name]
        elif not self.anew:
            found = f"its {odd} is {content.get(odd)!r}, not {self.about[odd]!r}"
            raise InputError(f"{self.path}: {found}; choose another name")

    def keep(self, key: str, result: Any) -> None:
        """Add a result, as JSON has it."""
        self.results[key] = result
        if self.path is not None:
            write_text(self.path, json.dumps({**self.about, self.name: self.results}, indent=1) + "\n")


def read_results(path: Path, name: str) -> dict[str, Any]:
    """Return what a file holds: its results by key, under ``name``, beside what they follow from.

    Raises:
        InputError: If it is missing, or no such file.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**content, name: dict(content[name])}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: no file of {name}; choose another name, or remove it") from None
