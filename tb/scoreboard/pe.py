"""The model that the input monitors feed, and the in-order comparison of every result with it."""

from collections import deque
from collections.abc import Callable

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Command, ProcessingElement, Result
from vsq.tb.agents.pe_words import Words, command_of, input_fields, result_fields, result_words, streams_of


class PeScoreboard:
    """Compares results with the golden model, command by command, as their beats become known.

    Parameters
    ----------
    config
        The processing element.
    context
        What a mismatch report starts with: it names the run, seed included.

    Attributes
    ----------
    beats
        Accepted beats of each input stream.
    results, illegal
        Result beats seen, and those of them that answered an illegal command.
    operands
        Operands that the executed commands multiplied: rows * vectors of each.
    evaluated
        Commands whose beats are all there, with the model's results.
    """

    def __init__(self, config: PeConfig, context: str) -> None:
        self._config, self._context = config, context
        self._element = ProcessingElement(config)
        self._pending: dict[str, deque[Words]] = {stream: deque() for stream in input_fields(config)}
        self._due: deque[tuple[Command, Words]] = deque()
        self._seen: deque[Words] = deque()
        self.beats = dict.fromkeys(self._pending, 0)
        self.results = self.illegal = self.operands = 0
        self.evaluated: list[tuple[Command, Result]] = []

    def on_beat(self, stream: str) -> Callable[[Words], None]:
        """Return what takes the accepted beats of ``stream`` from its monitor."""
        pending = self._pending[stream]

        def take(words: Words) -> None:
            pending.append(words)
            self.beats[stream] += 1

        return take

    def on_result(self, words: Words) -> None:
        """Take an accepted result from the output monitor, and compare it."""
        self._seen.append(words)
        self.results += 1
        self.check()

    def check(self) -> None:
        """Compare every result so far.

        Raises
        ------
        AssertionError
            If one differs, or comes before its command's beats.
        """
        checked = self.results - len(self._seen)
        while self._seen:
            if not self._due and not self._evaluate():
                raise AssertionError(f"{self._context}: result {checked} came before its beats: {self._seen[0]}")
            (command, expected), got = self._due.popleft(), self._seen.popleft()
            if got != expected:
                names = result_fields(self._config)
                raise AssertionError(
                    f"{self._context}: result {checked} is wrong, of {command}\n"
                    f"  got      {dict(zip(names, got, strict=True))}\n"
                    f"  expected {dict(zip(names, expected, strict=True))}\n"
                )
            self.illegal += got[0]
            checked += 1

    @property
    def answered(self) -> list[tuple[Command, Result]]:
        """The evaluated commands all of whose results were compared."""
        return self.evaluated[: -1 if self._due else None]

    def _evaluate(self) -> bool:
        """Run the model on the next command if all its beats are there; return whether they are."""
        config, pending = self._config, self._pending
        if not pending["command"]:
            return False
        command = command_of(config, pending["command"][0])
        counts = dict.fromkeys(pending, 0) | {"command": 1}
        if self._element.is_legal(command):
            counts["weights"] = command.vectors * config.lane_count * command.load_weights
            counts["activations"] = command.rows * command.vectors * command.load_activations
            if config.ppu:
                counts["lane_params"] = config.lane_count * command.load_params
        if any(len(pending[stream]) < count for stream, count in counts.items()):
            return False
        taken = {stream: [pending[stream].popleft() for _ in range(count)] for stream, count in counts.items()}
        results = self._element.run(streams_of(config, taken))
        self.evaluated.append((command, results[0]))
        self._due.extend((command, words) for words in result_words(config, results))
        self.operands += 0 if results[0].illegal else command.rows * command.vectors
        return True
