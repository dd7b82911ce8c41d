"""The value of every pin of the vector MAC in every cycle of a test, computed before any simulation.

The golden model gives the results and :class:`vsq.tb.coverage.pipeline.Pipeline` the cycle of each handshake, so that a
test is a comparison of rows: a few lines of C++ or plain Verilog do it, without agents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count, product

import numpy as np
from amaranth.hdl import Shape

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus import stream as stimulus
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.tb.agents.streams import beat_fields, beat_words, flowing, random_bursts, result_fields
from vsq.tb.coverage.pipeline import Marks, Pipeline

_FULL_SPEED_BEATS = 256
_RESETS = 12
_DRAIN_CYCLES = 8  # after the last result, in which none may follow
_ENABLE = "mac_datapath_enable"  # of one bit; more are "enables"

EXPOSE = f"expose w:{_ENABLE}*"  # Yosys's command, for a design of several modules

Bursts = Iterator[tuple[int, int]]


@dataclass(frozen=True)
class Row:
    """One cycle: the word of all inputs, that of all outputs, and which output bits are promised."""

    inputs: int
    outputs: int
    promised: int


class Ports:
    """The pins of a design, joined into a word of inputs and a word of outputs.

    Parameters
    ----------
    widths
        Of each port, by name.
    inputs, outputs
        Names from the least significant bit. Bit 1 of the outputs is the valid of the results.
    handshakes
        How many of the outputs' low bits are promised in every cycle; the others are while a result is valid.

    Attributes
    ----------
    inputs, outputs
        Width of each pin, by name, in this order.
    """

    def __init__(
        self, widths: Mapping[str, int], inputs: Sequence[str], outputs: Sequence[str], handshakes: int
    ) -> None:
        self.inputs = {name: widths[name] for name in inputs}
        self.outputs = {name: widths[name] for name in outputs}
        self.handshakes = handshakes

    def instance(self, module: str, name: str, inputs: str, outputs: str, extra: str = "") -> str:
        """Return a Verilog instance of the design on slices of two words; ``extra`` are further connections."""
        connections = [
            f".{pin}({word}[{low}+:{width}])"
            for word, pins in ((inputs, self.inputs), (outputs, self.outputs))
            for pin, width, low in zip(pins, pins.values(), accumulate(pins.values(), initial=0), strict=False)
        ]
        return f"{module} {name}({', '.join(['.clk(clk)', *connections])}{extra});"

    def legal(self, inputs: str) -> str:
        """Return a Verilog expression that the inputs keep what is promised of them: here everything is legal."""
        del inputs
        return "1'b1"

    def cared(self, outputs: str) -> str:
        """Return a Verilog expression with ones where the bits of a valid result matter: here everywhere."""
        del outputs
        return f"{{{sum(self.outputs.values())}{{1'b1}}}}"


class Pins(Ports):
    """The pins of one vector MAC.

    From the least significant bit, the inputs are ``rst``, ``out_ready``, ``in_valid`` and a beat's fields; the outputs
    ``in_ready``, ``out_valid``, the enables and a result's fields.

    Parameters
    ----------
    config
        The vector MAC.
    enables
        Whether the enables of the data registers are seen too: wires of the top module that :data:`EXPOSE` makes ports.
    """

    def __init__(self, config: MacConfig, *, enables: bool = False) -> None:
        self.config = config
        self._limited = replace(config, accumulator_bits=config.acc_bits, max_vectors=None)  # the same hardware
        widths = {"rst": 1, **{name: Shape.cast(port.shape).width for name, port in design(config).ports().items()}}
        enable = f"{_ENABLE}s" if config.pipeline else _ENABLE
        widths |= {enable: config.pipeline + 1}
        beat, result = [f"in_{name}" for name in beat_fields(config)], [f"out_{name}" for name in result_fields(config)]
        handshakes = ["in_ready", "out_valid", *([enable] if enables else [])]
        promised = sum(widths[name] for name in handshakes)
        super().__init__(widths, ["rst", "out_ready", "in_valid", *beat], [*handshakes, *result], promised)

    def legal(self, inputs: str) -> str:
        """Return a Verilog expression that the inputs keep the narrow promise, if the configuration makes it."""
        kept = ["1'b1"]
        low = dict(zip(self.inputs, accumulate(self.inputs.values(), initial=0), strict=False))
        for pin, fmt in (("in_weights", self.config.weight), ("in_activations", self.config.activation)):
            for lane, pattern in product(range(self.config.vector_size), fmt.unused):
                kept.append(f"{inputs}[{low[pin] + lane * fmt.bits}+:{fmt.bits}] != {fmt.bits}'d{pattern}")
        return " & ".join(f"({expression})" for expression in kept)

    def rows(self, beats: int, seed: int) -> list[Row]:
        """Return the cycles of the whole regression.

        Random beats with pauses on both streams, beats at full speed, and resets at random moments, after which the
        first vector has no mark ``first``: the tests of ``vsq.tb.bench.mac``, by the same generators. An accumulator of
        exact width is made to overflow too, which takes more vectors than it is meant for.
        """
        rng = np.random.default_rng([seed, 0])
        stream = stimulus.beats(self._limited, beats, seed)
        rows = list(self._run(stream, random_bursts(rng), random_bursts(rng)))
        rows += self._run(stimulus.beats(self._limited, _FULL_SPEED_BEATS, seed + 1), flowing(), flowing())
        for number in range(_RESETS):
            stream = stimulus.beats(self._limited, 64, seed + number)
            stream.first[0] = False
            cycles = list(self._run(stream, random_bursts(rng), random_bursts(rng)))
            rows += cycles[: None if number == _RESETS - 1 else int(rng.integers(2, 41))]
        return rows

    def _run(self, beats: Beats, sending: Bursts, taking: Bursts) -> Iterator[Row]:
        """Yield the cycles from a reset until every beat is accepted and every result taken."""
        offers = [_join(word, list(self.inputs.values())[3:]) for word in beat_words(self.config, beats)]
        marks, due = self._expect(beats)
        pipeline, sent, received = Pipeline(self.config.pipeline), 0, 0
        send, take, offered, drained = _cycles(sending), _cycles(taking), False, 0
        handshakes, everything = (1 << self.handshakes) - 1, (1 << sum(self.outputs.values())) - 1
        for cycle in count():
            reset, ready = cycle == 0, next(take)
            offered = sent < len(offers) and (offered or next(send))
            vector = marks[sent] if offered else None
            accepts, valid = pipeline.ready(ready), pipeline.result
            control = [accepts, valid, *pipeline.loads(vector, ready)][: self.handshakes]
            yield Row(
                inputs=reset | ready << 1 | offered << 2 | offers[min(sent, len(offers) - 1)] << 3,
                outputs=_join(control, [1] * len(control)) | (due[received] << self.handshakes if valid else 0),
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

    def _expect(self, beats: Beats) -> tuple[list[Marks], list[int]]:
        """Return the marks of each beat after a reset, and the word of each result."""
        result = mac(self.config, **vars(beats), trace=True)
        assert result.trace is not None
        scaled = self.config.weight_scale or self.config.activation_scale
        active = beats.first | (result.trace.r != 0) if scaled else np.ones(len(beats), np.bool_)
        active[0] = True
        mask = (1 << self.config.acc_bits) - 1
        words = zip((acc & mask for acc in result.acc.tolist()), result.overflow.tolist(), strict=True)
        widths = [self.outputs[f"out_{name}"] for name in result_fields(self.config)]
        marks = [Marks(*pair) for pair in zip(beats.last.tolist(), active.tolist(), strict=True)]
        return marks, [_join(word, widths) for word in words]


def _join(values: Sequence[int], widths: Sequence[int]) -> int:
    """Return one word of fields, the first in the least significant bits."""
    word = low = 0
    for value, width in zip(values, widths, strict=False):
        word |= int(value) << low
        low += width
    return word


def _cycles(bursts: Bursts) -> Iterator[bool]:
    """Yield for each cycle whether it is active."""
    for pause, run in bursts:
        yield from [False] * pause + [True] * run
