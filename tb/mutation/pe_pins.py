"""The pins of a processing element, joined into a word of inputs and a word of outputs."""

from itertools import accumulate

from amaranth.hdl import Shape

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.tb.agents.pe_words import input_fields, result_fields
from vsq.tb.mutation.pins import Ports


class PePins(Ports):
    """The pins of one element.

    From the least significant bit, the inputs are ``rst``, ``result_ready`` and each stream's ``valid`` and fields; the
    outputs ``command_ready``, ``result_valid``, the other streams' ``ready`` and a result's fields.
    """

    def __init__(self, config: PeConfig) -> None:
        ports = design(config).ports()
        widths = {"rst": 1, **{name: Shape.cast(port.shape).width for name, port in ports.items()}}
        streams = input_fields(config)
        first, *others = (f"{stream}_ready" for stream in streams)
        fields = [f"{stream}_{name}" for stream, names in streams.items() for name in ("valid", *names)]
        handshakes = [first, "result_valid", *others]
        results = [f"result_{name}" for name in result_fields(config)]
        super().__init__(widths, ["rst", "result_ready", *fields], [*handshakes, *results], len(handshakes))

    def cared(self, outputs: str) -> str:
        """Return ones where the bits matter: of an accumulator if the result is raw, else of codes and scale."""
        low = dict(zip(self.outputs, accumulate(self.outputs.values(), initial=0), strict=False))
        raw = f"{outputs}[{low['result_raw']}]" if "result_raw" in low else "1'b1"
        legal = f"!{outputs}[{low['result_illegal']}]"
        when = dict.fromkeys(("result_acc", "result_overflow"), f"{legal} & {raw}")
        when |= dict.fromkeys(("result_codes", "result_scale"), f"{legal} & !{raw}")
        masks = [(width, when.get(name, "1'b1")) for name, width in reversed(self.outputs.items())]
        return "{" + ", ".join(f"{{{width}{{{mask}}}}}" for width, mask in masks) + "}"
