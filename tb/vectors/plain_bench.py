"""Self-checking benches in plain Verilog, for users who have a simulator and no Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.io.files import write_text
from vsq.golden.model.packing import Packed, Words, slices
from vsq.tb.interface.base import DONT_CARE
from vsq.tb.templates import filled

_MOST_SPAN = 2000  # cycles within which a play is cut by a reset
_ALL = "  wire [WIDTH-1:0] care = {WIDTH{1'b1}};"
_SOME = """  reg [WIDTH-1:0] cares [0:RESULTS];
  wire [WIDTH-1:0] care = cares[received];
  initial $readmemh("{name}_care.memh", cares, 0, RESULTS - 1);"""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream of a design, and the words that it carries.

    Args:
        name: Of the words' file, after the design's.
        prefix: What the ports' names start with, before ``valid``, ``ready`` and the payload's fields.
        widths: Bits of each field of a word, from its least significant end.
        words: What the stream carries.
        care: For each word the bits that matter, of results alone; None for all.
    """

    name: str
    prefix: str
    widths: Mapping[str, int]
    words: Sequence[int]
    care: Sequence[int] | None = None

    @classmethod
    def of(cls, name: str, stream: str, packed: Packed, beats: Sequence[Words]) -> "Stream":
        """Return a stream of plain ports; fields that do not matter are 0, and left out of ``care``."""
        ones = [(1 << width) - 1 for width in packed.widths.values()]
        care = [
            packed.join([0 if w == DONT_CARE else one for w, one in zip(beat, ones, strict=True)]) for beat in beats
        ]
        words = [packed.join([max(0, word) for word in beat]) for beat in beats]
        some = any(DONT_CARE in beat for beat in beats)
        return cls(name=name, prefix=f"{stream}_", widths=packed.widths, words=words, care=care if some else None)

    @property
    def bits(self) -> int:
        """Width of a word."""
        return sum(self.widths.values())

    def connections(self, valid: str, ready: str, word: str) -> list[str]:
        """Return the connections of the stream's ports."""
        payload = slices({self.prefix + field: width for field, width in self.widths.items()}, word)
        return [f".{self.prefix}valid({valid})", f".{self.prefix}ready({ready})", *payload]


def write_bench(
    folder: Path,
    name: str,
    title: str,
    inputs: Sequence[Stream],
    result: Stream,
    *,
    stall: int,
    fill: int,
    idle: int,
    cycles: int,
) -> list[Path]:
    """Write a bench and the words that it reads, one hexadecimal word a line; return the files' paths.

    The streams start after a reset; ``plain_bench.v`` tells how often and how they are played.

    Args:
        folder: Of the files.
        name, title: Of the design: its module, and what it is.
        inputs, result: Its streams, and the results expected.
        stall: Number of the result, from 0, that waits while the design fills up, until a reset.
        fill: Words of the only input stream that the design takes until then; 0 if it promises no number.
        idle: Cycles without a transfer after which nothing more comes.
        cycles: From the first word taken to the last result at full speed; 0 if the design promises no number.

    Raises:
        InputError: If the folder cannot be written.
    """
    sources, ports = [], []
    for index, stream in enumerate(inputs):
        file = f"{name}_{stream.name}.memh"
        sources.append(
            f"  wire [{stream.bits - 1}:0] {stream.name}_word;\n"
            f'  {name}_tb_source #(.WIDTH({stream.bits}), .COUNT({len(stream.words)}), .FILE("{file}"))\n'
            f"    {stream.name} (.clk(clk), .rst(rst), .go(go[{index}]), .ready(ready[{index}]),\n"
            f"      .valid(valid[{index}]), .done(done[{index}]), .word({stream.name}_word));"
        )
        ports += stream.connections(f"valid[{index}]", f"ready[{index}]", f"{stream.name}_word")
    ports += result.connections("out_valid", "out_ready", "got")
    text = filled(
        Path(__file__).with_suffix(".v"),
        name=name,
        title=title,
        streams=len(inputs),
        results=len(result.words),
        width=result.bits,
        stall=stall,
        fill=fill,
        span=min(_MOST_SPAN, 1 + sum(len(stream.words) for stream in inputs)),
        idle=idle,
        cycles=cycles,
        sources="\n".join(sources),
        care=_ALL if result.care is None else _SOME.format(name=name),
        ports=",\n    ".join(ports),
    )
    words = {stream.name: stream.words for stream in (*inputs, result)}
    if result.care is not None:
        words["care"] = result.care
    files = {
        folder / f"{name}_{kind}.memh": "".join(f"{word:x}\n" for word in column) for kind, column in words.items()
    }
    files[folder / f"{name}_tb.v"] = text
    for path, content in files.items():
        write_text(path, content)
    return list(files)
