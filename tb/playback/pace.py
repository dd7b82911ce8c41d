"""The pauses of a playback."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The cycles in which beats are offered and results taken.

    Args:
        pauses: For each input stream the cycles before each beat in which none is offered, [B].
        taking: Whether results are taken, for each cycle from the first one on; after these they are.
    """

    pauses: Mapping[str, NDArray[Any]]
    taking: NDArray[np.bool_]

    def bursts(self) -> tuple[dict[str, list[tuple[int, int]]], list[tuple[int, int]]]:
        """Return the pauses as bursts (cycles of pause, transfers or cycles of activity), of sending and of taking."""
        taking, pause = [], 0
        for take, cycles in groupby(self.taking.tolist()):
            count = len(list(cycles))
            if take:
                taking.append((pause, count))
            pause = 0 if take else count
        sending = {stream: [(int(pause), 1) for pause in pauses] for stream, pauses in self.pauses.items()}
        return sending, taking + [(pause, 1)] * (pause > 0)
