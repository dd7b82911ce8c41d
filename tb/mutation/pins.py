"""The pins of a design, joined into a word of inputs and a word of outputs, and what they carry in a test.

For a vector MAC the value of every pin in every cycle of a test is computed before any simulation: the golden model
gives the results and :class:`vsq.tb.coverage.traffic.Pipeline` the cycle of each handshake. A test is then a comparison
of rows, without agents. Under Icarus, in four states, no undefined value may reach what is promised.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.config import Reset
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.model.datapath import mac
from vsq.golden.model.packing import Packed, slices
from vsq.golden.stimulus import stream as stimulus
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.tb.coverage.traffic import Marks, Pipeline
from vsq.tb.designs import environment
from vsq.tb.interface.pace import Bursts, cycles, flowing, random_bursts
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import simulators
from vsq.tb.templates import filled

_ENABLE = "mac_datapath_enable"  # of one bit; more are "enables"

EXPOSE = f"expose w:{_ENABLE}*"  # Yosys's command, for a design of several modules

_FULL_SPEED_BEATS = 256
_RESETS = 12
_DRAIN_CYCLES = 8  # after the last result, in which none may follow


class Pins:
    """The pins of one design.

    From the least significant bit, the inputs are ``rst``, the results' ``ready``, and each input stream's ``valid``
    and fields; the outputs the first stream's ``ready``, the results' ``valid``, the other streams' ``ready``, the
    enables and a result's fields.

    Args:
        enables: Whether the enables of a vector MAC's data registers are seen too: wires of the top module that
            :data:`EXPOSE` makes ports.
        disabling: Whether the clock's enable, if there is one, is the last of the inputs; else it is 1.

    Attributes:
        interface: The streams.
        resets: Whether there is a reset; else the input ``rst`` is connected to nothing.
        inputs, outputs: Width of each pin, by name, in this order.
        handshakes: How many of the outputs' low bits are promised in every cycle; the others are while a result is
            valid.
    """

    def __init__(self, config: Configuration, *, enables: bool = False, disabling: bool = False) -> None:
        self.config = config
        self.resets = config.mac.reset != Reset.NONE
        self.interface: Any = environment(config).interface(config)
        streams, result = self.interface.inputs, self.interface.result
        self.inputs = {"rst": 1, f"{result}_ready": 1}
        for stream, packed in streams.items():
            self.inputs |= {f"{stream}_valid": 1, **_ports(stream, packed)}
        enable = design(config).clocking.enable
        if disabling and enable:
            self.inputs[enable] = 1
        first, *others = (f"{stream}_ready" for stream in streams)
        handshakes = dict.fromkeys([first, f"{result}_valid", *others], 1)
        if enables:
            handshakes[f"{_ENABLE}s" if config.mac.pipeline else _ENABLE] = config.mac.pipeline + 1
        self.handshakes = sum(handshakes.values())
        self.outputs = {**handshakes, **_ports(result, self.interface.output)}

    @property
    def widths(self) -> tuple[int, int]:
        """Bits of the word of inputs and of the word of outputs."""
        return sum(self.inputs.values()), sum(self.outputs.values())

    def instance(self, module: str, name: str, inputs: str, outputs: str, extra: str = "") -> str:
        """Return a Verilog instance of the design on slices of two words; ``extra`` are further connections."""
        clocking = design(self.config).clocking
        control = [f".{clocking.clock}(clk)"]
        if clocking.reset:
            control.append(f".{clocking.reset}({'~' * clocking.active_low}{inputs}[0])")
        if clocking.enable and clocking.enable not in self.inputs:
            control.append(f".{clocking.enable}(1'b1)")
        streams = {name: width for name, width in self.inputs.items() if name != "rst"}
        connections = [*control, *slices(streams, inputs, 1), *slices(self.outputs, outputs)]
        return f"{module} {name}({', '.join(connections)}{extra});"

    def legal(self, inputs: str) -> str:
        """Return a Verilog expression that the inputs keep what is promised of elements in every stream."""
        kept = ["1'b1"]
        low = _low(self.inputs)
        for stream, packed in self.interface.inputs.items():
            for name, field in packed.fields.items():
                at, bits = low[f"{stream}_{name}"], field.format.bits
                for pattern in getattr(field.format, "unused", ()):
                    places = (at + number * bits for number in range(field.count or 1))
                    kept += [f"{inputs}[{place}+:{bits}] != {bits}'d{pattern}" for place in places]
        return " & ".join(f"({expression})" for expression in kept)

    def cared(self, outputs: str) -> str:
        """Return a Verilog expression with ones where the bits of a valid result matter.

        Of an element they are those of an accumulator if the result is raw, else those of codes and scale.
        """
        low, result = _low(self.outputs), self.interface.result
        fields = self.interface.output.fields
        legal = f"!{outputs}[{low[f'{result}_illegal']}]" if "illegal" in fields else "1'b1"
        raw = f"{outputs}[{low[f'{result}_raw']}]" if "raw" in fields else "1'b1"
        when = dict.fromkeys((f"{result}_acc", f"{result}_overflow"), f"{legal} & {raw}")
        when |= dict.fromkeys((f"{result}_codes", f"{result}_scale"), f"{legal} & !{raw}")
        masks = [(width, when.get(name, "1'b1")) for name, width in reversed(self.outputs.items())]
        return "{" + ", ".join(f"{{{width}{{{mask}}}}}" for width, mask in masks) + "}"


def _ports(stream: str, packed: Packed) -> dict[str, int]:
    return {f"{stream}_{name}": width for name, width in packed.widths.items()}


def _low(widths: Mapping[str, int]) -> dict[str, int]:
    """Return the place of each pin's least significant bit."""
    return dict(zip(widths, accumulate(widths.values(), initial=0), strict=False))


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
    config = pins.config.mac
    if config.window is None:
        config = replace(config, accumulator_bits=config.acc_bits, max_vectors=None)  # the same hardware
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
    config = pins.config.mac
    result = mac(config, **vars(beats), trace=True)
    assert result.trace is not None
    scaled = config.weight_scale or config.activation_scale
    active = beats.first | (result.trace.r != 0) if scaled else np.ones(len(beats), np.bool_)
    active[0] = True
    marks = [Marks(*pair) for pair in zip(beats.last.tolist(), active.tolist(), strict=True)]
    due = [pins.interface.output.join(words) for words in pins.interface.results(result)]
    pipeline, sent, received = Pipeline(config), 0, 0
    send, take, offered, drained = cycles(sending), cycles(taking), False, 0
    width, handshakes = pins.widths[1], "1" * pins.handshakes
    for cycle in count():
        reset, ready = cycle == 0, next(take)
        offered = sent < len(offers) and (offered or next(send))
        vector = marks[sent] if offered else None
        accepts, valid = pipeline.ready(ready), pipeline.filled[-1]
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


def run_undefined(pins: Pins, verilog: str, rows: Sequence[PromisedCycle], folder: Path) -> str:
    """Simulate a design; return ``passed``, or the first cycle whose promised outputs are undefined or wrong.

    The registers start undefined by themselves, and so do all inputs, for some cycles before the first row.

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
