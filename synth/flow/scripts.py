"""Scripts of ABC. Its default one takes minutes on multiplier arrays; these take seconds."""

from vsq.synth.library.liberty import BUFFER, Library

# Structural choices (dch) and one mapping, for area.
PLAIN = "strash; ifraig; dch; map -B 0.9 -a; topo"
# A mapper whose area recovery keeps exclusive-or and and-or-invert cells as they are written, where the other one
# restructures them: smaller in Booth's arrays, and not always elsewhere.
_RECOVERING = "strash; &get -n; &dch -f; &nf -R 100 -a; &put; topo"
_BALANCED = "strash; &get -n; &dch -f; &nf; &put"
_FAST = "strash; ifraig; dc2; dch -f; map -B 0.9; topo"


def for_area(library: Library) -> list[str]:
    """Return the scripts of which one or the other makes a module smallest."""
    return [PLAIN, _RECOVERING] if _has_buffer(library) else [PLAIN]


def for_both(library: Library) -> str:
    """Return the script for logic beside adder cells, whose large loads are buffered."""
    return (_BALANCED if _has_buffer(library) else PLAIN) + _sizing(library, " -N 8")


def for_delay(library: Library) -> str:
    """Return the script that makes a module fast."""
    return _FAST + _sizing(library)


def _has_buffer(library: Library) -> bool:
    """Return whether there is a buffer, without which ABC's ``&nf`` crashes."""
    return library.smallest(1, BUFFER) is not None


def _sizing(library: Library, most: str = "") -> str:
    """Return buffers and a choice of drive strengths, which the library's timing is needed for."""
    return f"; buffer -c{most}; upsize; dnsize" if library.timed else ""
