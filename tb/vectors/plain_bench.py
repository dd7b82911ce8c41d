"""Self-checking benches in plain Verilog, for users who have a simulator and no Python."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsq.golden.io.files import write_text
from vsq.golden.model.packing import Packed, Words
from vsq.hw.emit.emission import Clocking
from vsq.tb.interface.base import DONT_CARE, connections
from vsq.tb.templates import filled

_MOST_SPAN = 2000  # cycles within which a play is cut by a reset
_ALL = "  wire [WIDTH-1:0] care = {WIDTH{1'b1}};"
_SOME = """  reg [WIDTH-1:0] cares [0:RESULTS];
  wire [WIDTH-1:0] care = cares[received];
  initial $readmemh("{name}_care.memh", cares, 0, RESULTS - 1);"""


_FREEZING = """  reg tick = 0, enable = 1;
  always begin // each cycle has an edge that changes nothing
    #5 clk = 1;
    #5 clk = 0;
    enable = 0;
    #1 tick = 1;
    #1 tick = 0;
    enable = 1;
  end"""


@dataclass(frozen=True)
class Stream:
    """One stream of a design, and what it carries.

    Args:
        name: Of the words' file, after the design's.
        prefix: What the ports' names start with, before ``valid``, ``ready`` and the payload's fields.
        layout: Of its words.
        beats: The fields of each word; those of results that do not matter are
            :data:`vsq.tb.interface.base.DONT_CARE`, and 0 in the file.
    """

    name: str
    prefix: str
    layout: Packed
    beats: Sequence[Words]

    @property
    def text(self) -> str:
        """The words, one hexadecimal number a line."""
        return "".join(f"{self.layout.join([max(0, word) for word in beat]):x}\n" for beat in self.beats)


def _control(clocking: Clocking) -> Iterator[str]:
    """Yield the connections of clock and reset."""
    yield f".{clocking.clock}({'clk | tick' if clocking.enable else 'clk'})"
    if clocking.reset:
        yield f".{clocking.reset}({'!' * clocking.active_low}rst)"
    if clocking.enable:
        yield f".{clocking.enable}(enable)"


def write_bench(
    folder: Path,
    name: str,
    title: str,
    inputs: Sequence[Stream],
    result: Stream,
    *,
    clocking: Clocking,
    stall: int,
    idle: int,
    fill: int = 0,
    cycles: int = 0,
) -> list[Path]:
    """Write a bench and the words that it reads, one hexadecimal word a line; return the files' paths.

    The streams start after a reset; ``plain_bench.v`` tells how often and how they are played.

    Args:
        name, title: Of the design: its module, and what it is.
        inputs, result: Its streams, and the results expected.
        clocking: Its clock and reset.
        stall: Number of the result, from 0, that waits while the design fills up, until a reset.
        idle: Cycles without a transfer after which nothing more comes.
        fill: Words of the only input stream that the design takes until then; 0 if it promises no number.
        cycles: From the first word taken to the last result at full speed; 0 if the design promises no number.

    Raises:
        InputError: If the folder cannot be written.
    """
    sources, ports = [], []
    some = any(DONT_CARE in beat for beat in result.beats)
    for index, stream in enumerate(inputs):
        file = f"{name}_{stream.name}.memh"
        sources.append(
            f"  wire [{stream.layout.bits - 1}:0] {stream.name}_word;\n"
            f'  {name}_tb_source #(.WIDTH({stream.layout.bits}), .COUNT({len(stream.beats)}), .FILE("{file}"))\n'
            f"    {stream.name} (.clk(clk), .rst(rst), .go(go[{index}]), .ready(ready[{index}]),\n"
            f"      .valid(valid[{index}]), .done(done[{index}]), .word({stream.name}_word));"
        )
        handshake = f"valid[{index}]", f"ready[{index}]"
        ports += connections(stream.prefix, stream.layout, *handshake, f"{stream.name}_word")
    ports += connections(result.prefix, result.layout, "out_valid", "out_ready", "got")
    text = filled(
        Path(__file__).with_suffix(".v"),
        name=name,
        title=title,
        streams=len(inputs),
        results=len(result.beats),
        width=result.layout.bits,
        stall=stall,
        fill=fill,
        span=min(_MOST_SPAN, 1 + sum(len(stream.beats) for stream in inputs)),
        idle=idle,
        cycles=cycles,
        sources="\n".join(sources),
        care=_SOME.format(name=name) if some else _ALL,
        ticking=_FREEZING if clocking.enable else "  always #5 clk = ~clk;",
        first="LAST" if clocking.reset is None else 0,
        control=",\n    ".join(_control(clocking)),
        ports=",\n    ".join(ports),
    )
    memories = [*inputs, result]
    if some:
        ones = [(1 << width) - 1 for width in result.layout.widths.values()]
        cared = [
            tuple(one * (word != DONT_CARE) for one, word in zip(ones, beat, strict=True)) for beat in result.beats
        ]
        memories.append(Stream("care", "", result.layout, cared))
    files = {folder / f"{name}_{stream.name}.memh": stream.text for stream in memories}
    files[folder / f"{name}_tb.v"] = text
    for path, content in files.items():
        write_text(path, content)
    return list(files)
