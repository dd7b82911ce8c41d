"""The one error that a user's bad input raises, and hints in its messages."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input: the message is one line naming the value, the rule it breaks, and how to fix it.

    The command line prints it as it is and exits with code 2; library users catch it as a ``ValueError``.
    """


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question with the known names nearest to one that is not known."""
    near = difflib.get_close_matches(name, list(names), cutoff=0) or ["none at all"]
    return f"did you mean {' or '.join(near)}?"
