"""Excerpts from the logs of failed commands: the lines that state the reason, or else the last ones."""

import re
from pathlib import Path

_ERROR = re.compile(r"\berror\b|\bfatal\b|not found|no such file|undefined reference|\*\*\* ", re.IGNORECASE)
_LINES = 30


def reasons(text: str) -> list[str]:
    """Return the lines of a log that tell of an error, or its last ones if none does."""
    lines = text.splitlines()
    return [line for line in lines if _ERROR.search(line)][:_LINES] or lines[-_LINES:]


def failure(log: Path) -> str:
    """Return what failed, why, and where the whole log is."""
    return "\n".join([f"the {log.stem} failed", *reasons(log.read_text(errors="replace")), f"log: {log}"])
