"""A user's own SQuAD file, versions 1.1 and 2.0, and a user's own model: exact match and F1 as SQuAD counts them.

Source: Rajpurkar et al., SQuAD (arXiv 1606.05250), section 6.1.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.golden.workloads.metrics import Score, mean


@dataclass(frozen=True)
class Question:
    """A question about a context, and the answers that count; the empty one where there is none in the context."""

    identifier: str
    question: str
    context: str
    answers: tuple[str, ...]


def load(path: str | Path) -> list[Question]:
    """Return the questions of a SQuAD file; an InputError names one that cannot be read or has another form."""
    path = Path(path)
    try:
        return [
            Question(
                entry["id"],
                entry["question"],
                paragraph["context"],
                tuple(answer["text"] for answer in entry["answers"]) or ("",),
            )
            for article in json.loads(path.read_text(encoding="utf-8"))["data"]
            for paragraph in article["paragraphs"]
            for entry in paragraph["qas"]
        ]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a SQuAD file") from None
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0]}"
        raise InputError(f"{path}: not in SQuAD's form ({reason}); give its JSON file") from None


def evaluate(questions: Iterable[Question], answer: Callable[[str, str], str]) -> dict[str, Score]:
    """Return ``F1`` and ``exact match`` of a model that answers ``answer(question, context)``.

    Both are means over all questions, in percent; no question is an InputError.
    """
    scores: list[tuple[float, float]] = []
    for question in questions:
        words = _words(answer(question.question, question.context))
        references = [_words(text) for text in question.answers]
        scores.append((100 * max(_f1(words, reference) for reference in references), 100.0 * (words in references)))
    if not scores:
        raise InputError("evaluation: got no questions; give at least one")
    return dict(zip(("F1", "exact match"), map(mean, zip(*scores, strict=True)), strict=True))


def _words(text: str) -> list[str]:
    """Return the words that are compared: lower case, without punctuation and articles."""
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _f1(words: Sequence[str], reference: Sequence[str]) -> float:
    """Return the harmonic mean of precision and recall of words; without words on a side, whether both are empty."""
    if not words or not reference:
        return float(words == reference)
    shared = (Counter(words) & Counter(reference)).total()
    return 2 * shared / (len(words) + len(reference))
