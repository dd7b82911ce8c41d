"""Output on a terminal, as all commands make it."""

from typing import NoReturn

from rich.console import Console


class _Console(Console):
    """A console that leaves a closed pipe to the caller."""

    def on_broken_pipe(self) -> NoReturn:
        raise


def console() -> Console:
    """Return a console that does not fold tables where the output is no terminal."""
    made = _Console()
    return made if made.is_terminal else _Console(width=140)
