"""WordPiece, BERT's uncased tokenizer.

Text is cleaned, lower-cased, stripped of accents, and split at spaces, punctuation and CJK characters; a word becomes
the longest pieces of the vocabulary that it starts with, one after another.

Source: Devlin et al., BERT (arXiv 1810.04805); Wu et al., arXiv 1609.08144, section 4.1.
"""

import unicodedata
from collections.abc import Iterator, Sequence

START, END, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
CONTINUATION = "##"
MAX_WORD = 100

_CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Token ids of texts.

    Parameters
    ----------
    vocabulary
        The pieces in the order of their ids; a piece that continues a word starts with ``##``.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._ids = {piece: i for i, piece in enumerate(vocabulary)}

    def __call__(self, text: str) -> list[int]:
        """Return the ids of ``[CLS] text [SEP]``."""
        pieces = [piece for word in _words(text) for piece in self._pieces(word)]
        return [self._ids[piece] for piece in (START, *pieces, END)]

    def _pieces(self, word: str) -> list[str]:
        """Return the greedy longest pieces of one word, or the unknown one."""
        pieces: list[str] = []
        rest = word
        while rest and len(word) <= MAX_WORD:
            prefix = CONTINUATION if pieces else ""
            piece = next(
                (prefix + rest[:end] for end in range(len(rest), 0, -1) if prefix + rest[:end] in self._ids), ""
            )
            if not piece:
                break
            pieces.append(piece)
            rest = rest[len(piece) - len(prefix) :]
        return [UNKNOWN] if rest else pieces


def _words(text: str) -> Iterator[str]:
    """Yield the words and punctuation marks of a text, normalised."""
    for word in "".join(map(_cleaned, text)).split():
        plain = "".join(c for c in unicodedata.normalize("NFD", word.lower()) if unicodedata.category(c) != "Mn")
        yield from "".join(f" {c} " if _is_punctuation(c) else c for c in plain).split()


def _cleaned(c: str) -> str:
    """Return one character as the tokenizer reads it: control characters vanish, CJK ones are words of their own."""
    if c in "\t\n\r" or unicodedata.category(c) == "Zs":
        return " "
    if c == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(c).startswith("C"):
        return ""
    return f" {c} " if any(low <= ord(c) <= high for low, high in _CJK) else c


def _is_punctuation(c: str) -> bool:
    """Return whether ``c`` is a word of its own: Unicode punctuation, and every ASCII sign."""
    return (c.isascii() and c.isprintable() and not c.isalnum() and c != " ") or unicodedata.category(c).startswith("P")
