"""The value of every pin of the vector MAC in every cycle of a test, computed before any simulation.

The golden model gives the results and :class:`vsq.tb.coverage.traffic.Pipeline` the cycle of each handshake, so that a
test is a comparison of rows, without agents. Under Icarus, in four states, no undefined value may reach what is
promised.
"""

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import numpy as np

from vsq.golden.model.datapath import mac
from vsq.golden.stimulus import stream as stimulus
from vsq.golden.stimulus.stream import Beats
from vsq.tb.coverage.traffic import Marks, Pipeline
from vsq.tb.interface.pace import Bursts, cycles, flowing, random_bursts
from vsq.tb.mutation.pins import Pins
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import simulators
from vsq.tb.templates import filled

_FULL_SPEED_BEATS = 256
_RESETS = 12
_DRAIN_CYCLES = 8  # after the last result, in which none may follow


@dataclass(frozen=True)
class PromisedCycle:
    """One cycle: all inputs and all outputs in binary, and which output bits are promised."""

    inputs: str
    outputs: str
    promised: str


def rows(pins: Pins, beats: int, seed: int) -> list[PromisedCycle]:
    """Return the cycles of the whole regression of a vector MAC.

    Random beats with pauses on both streams, beats at full speed, and resets at random moments, after which the
    first vector has no mark ``first``: the tests of ``vsq.tb.bench.mac``, by the same generators. An accumulator of
    exact width is made to overflow too, which takes more vectors than it is meant for.

    Inputs are x where nothing is promised to the design: all but ``rst`` in the first reset, and later the payload of
    every cycle in which no vector is offered.
    """
    config = replace(pins.config.mac, accumulator_bits=pins.config.mac.acc_bits, max_vectors=None)  # the same hardware
    rng = np.random.default_rng([seed, 0])
    found = list(_run(pins, stimulus.beats(config, beats, seed), random_bursts(rng), random_bursts(rng)))
    found[0] = replace(found[0], inputs=found[0].inputs[-1].rjust(len(found[0].inputs), "x"))
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
    width, handshakes = pins.widths[1], "1" * pins.handshakes
    for cycle in count():
        reset, ready = cycle == 0, next(take)
        offered = sent < len(offers) and (offered or next(send))
        vector = marks[sent] if offered else None
        accepts, valid = pipeline.ready(ready), pipeline.result
        control = [accepts, valid, *pipeline.loads(vector, ready)][: pins.handshakes]
        outputs = sum(bit << i for i, bit in enumerate(control)) | (due[received] << pins.handshakes if valid else 0)
        payload = f"{offers[sent]:0{layout.bits}b}" if offered else "x" * layout.bits
        yield PromisedCycle(
            inputs=f"{payload}{offered:b}{ready:b}{reset:b}",
            outputs=f"{outputs:0{width}b}",
            promised=("" if reset else "1" * width if valid else handshakes).rjust(width, "0"),
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


def run_undefined(pins: Pins, verilog: str, rows: Sequence[PromisedCycle], folder: Path) -> str:
    """Simulate a design; return ``passed``, or the first cycle whose promised outputs are undefined or wrong.

    The registers start undefined by themselves, and so do all inputs, for some cycles before the first row.

    Args:
        pins: Its pins.
        verilog: The module :data:`vsq.tb.regression.job.TOP`.
        rows: What the pins carry.
        folder: Where the simulation is built.

    Raises:
        InputError: If Icarus is missing or too old.
        subprocess.CalledProcessError: If the design does not compile.
    """
    ins, outs = pins.widths
    texts = {f"{name}.memb": [getattr(row, name) for row in rows] for name in ("inputs", "outputs", "promised")}
    design = pins.instance(TOP, "tested", "inputs", "outputs")
    bench = Path(__file__).with_name("undefined.v")
    texts["bench.v"] = [filled(bench, in_high=ins - 1, out_high=outs - 1, rows=len(rows), design=design)]
    texts["design.v"] = [verilog]
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    icarus = str(simulators.find("icarus").executable)
    subprocess.run([icarus, "-g2005", "-s", "undefined", "-o", "bench", "bench.v", "design.v"], cwd=folder, check=True)
    return subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
