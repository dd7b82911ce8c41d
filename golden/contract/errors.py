"""The one error that a user's bad input raises, and what its messages have in common."""

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

Choice = TypeVar("Choice", bound=StrEnum)


class InputError(ValueError):
    """Bad input: the message is one line naming the value, the rule it breaks, and how to fix it.

    The command line prints it as it is and exits with code 2; library users catch it as a ``ValueError``.
    """


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question with the known names nearest to one that is not known."""
    near = difflib.get_close_matches(name, list(names), cutoff=0) or ["none at all"]
    return f"did you mean {' or '.join(near)}?"


def choice(name: str, value: object, kind: type[Choice]) -> Choice:
    """Return the member of an enumeration that ``value`` is or spells.

    Raises:
        InputError: If there is none; ``name`` says what it is of.
    """
    if value not in tuple(kind):
        raise InputError(f"{name} {value!r}: choose one of {', '.join(kind)}")
    return kind(str(value))
