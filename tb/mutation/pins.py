"""The pins of a design, joined into a word of inputs and a word of outputs."""

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from vsq.golden.contract.configuration import Configuration
from vsq.golden.model.packing import Packed, slices
from vsq.tb.designs import environment

_ENABLE = "mac_datapath_enable"  # of one bit; more are "enables"

EXPOSE = f"expose w:{_ENABLE}*"  # Yosys's command, for a design of several modules


class Pins:
    """The pins of one design.

    From the least significant bit, the inputs are ``rst``, the results' ``ready``, and each input stream's ``valid``
    and fields; the outputs the first stream's ``ready``, the results' ``valid``, the other streams' ``ready``, the
    enables and a result's fields.

    Args:
        config: Of the design.
        enables: Whether the enables of a vector MAC's data registers are seen too: wires of the top module that
            :data:`EXPOSE` makes ports.

    Attributes:
        interface: The streams.
        inputs, outputs: Width of each pin, by name, in this order.
        handshakes: How many of the outputs' low bits are promised in every cycle; the others are while a result is
            valid.
    """

    def __init__(self, config: Configuration, *, enables: bool = False) -> None:
        self.config = config
        self.interface: Any = environment(config).interface(config)
        streams, result = self.interface.inputs, self.interface.result
        self.inputs = {"rst": 1, f"{result}_ready": 1}
        for stream, packed in streams.items():
            self.inputs |= {f"{stream}_valid": 1, **_ports(stream, packed)}
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
        connections = [".clk(clk)", *slices(self.inputs, inputs), *slices(self.outputs, outputs)]
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
