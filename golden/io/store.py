"""Results that take time, in a JSON file beside what they follow from; an interrupted run resumes there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vsq.golden.contract.errors import InputError
from vsq.golden.io.files import write_text


class Store:
    """Results by key, each written as soon as it is known.

    Args:
        path: The file, which is read if it exists; None keeps the results in memory alone.
        about: The settings, versions and digests of inputs that all results follow from, as JSON has them.
        name: Of the results in the file.
        anew: Whether results that follow from something else are dropped; otherwise their file is refused.

    Raises:
        InputError: If the file holds something else, or cannot be written.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], name: str, *, anew: bool = False) -> None:
        self._path, self._about, self._name = path, about, name
        self.results: dict[str, Any] = {}
        if path is None or not path.exists():
            return
        content = read(path, name)
        odd = next((key for key in about if content.get(key) != about[key]), None)
        if odd is None:
            self.results = content[name]
        elif not anew:
            raise InputError(f"{path}: its {odd} is {content.get(odd)!r}, not {about[odd]!r}; choose another name")

    def keep(self, key: str, result: Any) -> None:
        """Add a result, as JSON has it."""
        self.results[key] = result
        if self._path is not None:
            write_text(self._path, json.dumps({**self._about, self._name: self.results}, indent=1) + "\n")


def read(path: Path, name: str) -> dict[str, Any]:
    """Return what a file holds: its results by key, under ``name``, beside what they follow from.

    Raises:
        InputError: If it is missing, or no such file.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**content, name: dict(content[name])}
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: no file of {name}; choose another name, or remove it") from None
