"""The pace of the vector MAC's elastic pipeline, cycle by cycle."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Marks:
    """The control information of a vector: whether a result follows, and whether it changes any data register."""

    last: bool
    active: bool = True


class Pipeline:
    """The pace that ``vsq.hw.mac.control`` promises.

    Stages 0 .. D-1 hold vectors and stage D a result; each loads when it is empty or moves on.
    """

    def __init__(self, depth: int) -> None:
        self._stages: list[Marks | None] = [None] * depth
        self.result = False

    @property
    def filled(self) -> list[bool]:
        """Whether each of the stages 0 .. D holds a vector, the last one a result."""
        return [*(marks is not None for marks in self._stages), self.result]

    def ready(self, taking: bool) -> bool:
        """Return whether a vector is accepted while ``out_ready`` is ``taking``."""
        return self._free(taking)[0]

    def loads(self, offered: Marks | None, taking: bool) -> list[bool]:
        """Return the enables of the data registers of stages 0 .. D."""
        coming = [offered, *self._stages]
        return [
            free and marks is not None and marks.active for free, marks in zip(self._free(taking), coming, strict=True)
        ]

    def clock(self, offered: Marks | None, taking: bool) -> None:
        """Pass a clock edge."""
        free, coming = self._free(taking), [offered, *self._stages]
        if free[-1]:
            self.result = coming[-1] is not None and coming[-1].last
        self._stages = [new if load else old for new, load, old in zip(coming, free, self._stages, strict=False)]

    def _free(self, taking: bool) -> list[bool]:
        free = [not self.result or taking]
        for marks in reversed(self._stages):
            free.append(marks is None or free[-1])
        return free[::-1]
