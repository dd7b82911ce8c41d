"""The value of every pin of the vector MAC in every cycle of a test, computed before any simulation.

The golden model gives the results and :class:`vsq.tb.coverage.traffic.Pipeline` the cycle of each handshake, so that a
test is a comparison of rows, without agents.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from vsq.golden.model.datapath import mac
from vsq.golden.stimulus import stream as stimulus
from vsq.golden.stimulus.stream import Beats
from vsq.tb.coverage.traffic import Marks, Pipeline
from vsq.tb.interface.pace import Bursts, cycles, flowing, random_bursts
from vsq.tb.mutation.pins import Pins

_FULL_SPEED_BEATS = 256
_RESETS = 12
_DRAIN_CYCLES = 8  # after the last result, in which none may follow


@dataclass(frozen=True)
class PromisedCycle:
    """One cycle: the word of all inputs, that of all outputs, and which output bits are promised."""

    inputs: int
    outputs: int
    promised: int


def rows(pins: Pins, beats: int, seed: int) -> list[PromisedCycle]:
    """Return the cycles of the whole regression of a vector MAC.

    Random beats with pauses on both streams, beats at full speed, and resets at random moments, after which the
    first vector has no mark ``first``: the tests of ``vsq.tb.bench.mac``, by the same generators. An accumulator of
    exact width is made to overflow too, which takes more vectors than it is meant for.
    """
    config = replace(pins.config.mac, accumulator_bits=pins.config.mac.acc_bits, max_vectors=None)  # the same hardware
    rng = np.random.default_rng([seed, 0])
    found = list(_run(pins, stimulus.beats(config, beats, seed), random_bursts(rng), random_bursts(rng)))
    found += _run(pins, stimulus.beats(config, _FULL_SPEED_BEATS, seed + 1), flowing(), flowing())
    for number in range(_RESETS):
        stream = stimulus.beats(config, 64, seed + number)
        stream.first[0] = False
        run = list(_run(pins, stream, random_bursts(rng), random_bursts(rng)))
        found += run[: None if number == _RESETS - 1 else int(rng.integers(2, 41))]
    return found


def _run(pins: Pins, beats: Beats, sending: Bursts, taking: Bursts) -> Iterator[PromisedCycle]:
    """Yield the cycles from a reset until every beat is accepted and every result taken."""
    layout = pins.interface.inputs["in"]
    offers = [layout.join(words) for words in layout.words(pins.interface.streams(beats)["in"])]
    marks, due = _expect(pins, beats)
    pipeline, sent, received = Pipeline(pins.config.mac.pipeline), 0, 0
    send, take, offered, drained = cycles(sending), cycles(taking), False, 0
    handshakes, everything = (1 << pins.handshakes) - 1, (1 << pins.widths[1]) - 1
    for cycle in count():
        reset, ready = cycle == 0, next(take)
        offered = sent < len(offers) and (offered or next(send))
        vector = marks[sent] if offered else None
        accepts, valid = pipeline.ready(ready), pipeline.result
        control = [accepts, valid, *pipeline.loads(vector, ready)][: pins.handshakes]
        yield PromisedCycle(
            inputs=reset | ready << 1 | offered << 2 | offers[min(sent, len(offers) - 1)] << 3,
            outputs=sum(bit << i for i, bit in enumerate(control)) | (due[received] << pins.handshakes if valid else 0),
            promised=0 if reset else everything if valid else handshakes,
        )
        if not reset:
            received += valid and ready
            pipeline.clock(vector, ready)
            sent += (transfer := offered and accepts)
            offered = offered and not transfer
            drained += received == len(due)
        if drained == _DRAIN_CYCLES:
            return


def _expect(pins: Pins, beats: Beats) -> tuple[list[Marks], list[int]]:
    """Return the marks of each beat after a reset, and the word of each result."""
    config = pins.config.mac
    result = mac(config, **vars(beats), trace=True)
    assert result.trace is not None
    scaled = config.weight_scale or config.activation_scale
    active = beats.first | (result.trace.r != 0) if scaled else np.ones(len(beats), np.bool_)
    active[0] = True
    marks = [Marks(*pair) for pair in zip(beats.last.tolist(), active.tolist(), strict=True)]
    return marks, [pins.interface.output.join(words) for words in pins.interface.results(result)]
