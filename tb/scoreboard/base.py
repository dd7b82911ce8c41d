"""The model that monitors feed, and the in-order comparison of every result with it."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vsq.golden.model.packing import Words
from vsq.tb.interface.base import DONT_CARE, Streams

_CHECK_EVERY = 256  # results; some models run on whole chunks of beats


@dataclass(frozen=True)
class Due:
    """A result that must come.

    Args:
        words: As the port carries it, fields that do not matter as :data:`vsq.tb.interface.base.DONT_CARE`.
        after: Beats of each input stream that must have been accepted before.
        source: The numbers of what it comes from: :attr:`Scoreboard.sources`.
    """

    words: Words
    after: tuple[int, ...]
    source: tuple[int, ...]


class Scoreboard(ABC):
    """Compares results with the golden model.

    Args:
        config: The design.
        context: What a mismatch report starts with: it names the run, seed included.
        covered: Whether the traffic is kept for coverage points, which takes memory.

    Attributes:
        context: As given.
        beats: Accepted beats of each input stream.
        expected, results: Results that the accepted beats give, as far as is known, and results seen.
        compared: The latest result that was right.
    """

    interface: ClassVar[type[Any]]  # :class:`vsq.tb.interface.base.Interface` of the design
    sources: ClassVar[tuple[str, ...]]  # names of what a result is traced to

    def __init__(self, config: Any, context: str, *, covered: bool = True) -> None:
        self._config, self.context, self._covered = config, context, covered
        self._interface: Any = self.interface(config)
        self._pending: dict[str, list[Words]] = {stream: [] for stream in self._interface.inputs}
        self._due: deque[Due] = deque()
        self._seen: deque[tuple[Words, Sequence[int]]] = deque()
        self.beats = dict.fromkeys(self._pending, 0)
        self.expected = self.results = 0
        self.compared: Due | None = None

    @abstractmethod
    def stimulus(self, count: int, seed: int) -> Any:
        """Return random stimulus that reaches the corners, legal after what has been evaluated so far."""

    def on_beat(self, stream: str, words: Words) -> None:
        """Take an accepted beat of a stream from its monitor."""
        self._pending[stream].append(words)
        self.beats[stream] += 1

    def on_beats(self, streams: Streams) -> None:
        """Take accepted beats of all streams at once."""
        for stream, packed in self._interface.inputs.items():
            for words in packed.words(streams[stream]):
                self.on_beat(stream, words)
        self.evaluate()

    def on_result(self, words: Words, after: Sequence[int] = ()) -> None:
        """Take an accepted result, of a playback with the beats of each stream accepted before it.

        Raises:
            AssertionError: If it comes before its beats, or as :meth:`check` does.
        """
        self._seen.append((words, after))
        self.results += 1
        if self.results > self.expected or len(self._seen) >= _CHECK_EVERY:
            self.evaluate()
        if self.results > self.expected:
            early = f"{self.context}: result {self.results} came before its last beat"
            raise AssertionError(f"{early}: {self._shown(words)}")
        self._compare()

    def check(self) -> None:
        """Compare every result so far.

        Raises:
            AssertionError: If one differs; the message decodes what led to it.
        """
        self.evaluate()
        self._compare()

    @property
    def complete(self) -> bool:
        """Whether the model has used every accepted beat, and every result has come."""
        self.evaluate()
        return self.results == self.expected and not any(self._pending.values())

    @abstractmethod
    def evaluate(self) -> None:
        """Run the model on the pending beats, as far as they make transactions, and note what is due."""

    @abstractmethod
    def describe(self, due: Due) -> list[str]:
        """Return the lines of a report that decode what led to a result."""

    @property
    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """Counts for the report of a job."""

    @abstractmethod
    def traffic(self, logs: Mapping[str, bytes | bytearray], *, reset: bool) -> Any:
        """Return what coverage points look at, with each stream's handshakes; ``reset`` says how the run ended."""

    def _compare(self) -> None:
        while self._seen and self._due:
            due, (words, after) = self._due.popleft(), self._seen.popleft()
            number = self.results - len(self._seen)
            if words != due.words and any(
                wanted not in (DONT_CARE, got) for got, wanted in zip(words, due.words, strict=True)
            ):
                source = ", ".join(f"{name} {place}" for name, place in zip(self.sources, due.source, strict=True))
                report = [
                    f"{self.context}: result {number} ({source}) is wrong",
                    f"  got      {self._shown(words, due.words)}",
                    f"  expected {self._shown(due.words)}",
                    *self.describe(due),
                ]
                raise AssertionError("\n".join(report))
            if any(accepted < needed for accepted, needed in zip(after, due.after, strict=False)):
                raise AssertionError(f"{self.context}: result {number} came before its last beat")
            self.compared = due

    def _shown(self, words: Words, mask: Words | None = None) -> str:
        """Return the fields of a result decoded, without those that do not matter."""
        shown = []
        for (name, field), word, care in zip(self._interface.output.fields.items(), words, mask or words, strict=True):
            if care != DONT_CARE:
                [value] = ["undefined"] if word == DONT_CARE else field.column([word]).tolist()
                shown.append(f"{name} {value}")
        return " ".join(shown)
