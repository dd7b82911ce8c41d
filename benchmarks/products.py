"""Benchmark: area of a dot product by each way to form partial products, beside the way that the generator chooses.

``python -m benchmarks.products 4x4 8x8 4x8 --vector-size 4 --liberty FILE``
"""

import argparse
import sys
from collections.abc import Callable, Iterator

from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, Value, signed
from rich.console import Console
from rich.table import Table

from vsq.golden.contract.errors import InputError
from vsq.hw.arithmetic import products
from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.library.liberty import Library

Way = Callable[[BitHeap, Value, Value], None]

# The ways that hold for every code, and those that hold for narrow ones.
FULL: dict[str, Way] = {
    "array": products.array,
    "Booth, first": products.booth,
    "Booth, second": lambda heap, a, b: products.booth(heap, b, a),
    "chosen": products.multiply,
}
NARROW: dict[str, Way] = {
    "sign of first": products.sign_magnitude,
    "sign of second": lambda heap, a, b: products.sign_magnitude(heap, b, a),
    "chosen, narrow": lambda heap, a, b: products.multiply(heap, a, b, narrow=True),
}


def dot_product(bits: tuple[int, int], vector_size: int, way: Way, narrow: bool) -> tuple[str, BitHeap]:
    """Return RTLIL of sum_j a[j] * b[j], signed, and its heap."""
    m = Module()
    a, b = (
        [Signal(signed(size), name=f"{name}{lane}") for lane in range(vector_size)]
        for name, size in zip("ab", bits, strict=True)
    )
    most = vector_size
    for size in bits:
        most *= (1 << size - 1) - narrow
    heap = BitHeap(1 + most.bit_length(), "dot")
    for x, y in zip(a, b, strict=True):
        way(heap, x, y)
    d = Signal(heap.width, name="d")
    m.d.comb += d.eq(heap.compress(m))
    return str(rtlil.convert(m, name="dot", ports=[*a, *b, d])), heap


def measure(bits: tuple[int, int], vector_size: int, library: Library) -> Iterator[tuple[str, BitHeap, float]]:
    """Yield way, heap and area."""
    for ways, narrow in ((FULL, False), (NARROW, True)):
        for name, way in ways.items():
            text, heap = dot_product(bits, vector_size, way, narrow)
            netlist = synthesize(text, "dot", Flow(library=library, flatten=True))
            cells = netlist.modules["dot"]
            yield name, heap, float(sum(library.cells[cell].area * count for cell, count in cells.items()))


def parse_bits(text: str) -> tuple[int, int]:
    """Read ``4x8``.

    Raises:
        InputError: If ``text`` is not two numbers from 2 to 16.
    """
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and 2 <= int(part) <= 16 for part in parts):
        raise InputError(f"{text!r}: operand bits are two numbers from 2 to 16; write for example 4x8")
    return int(parts[0]), int(parts[1])


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bits", nargs="*", default=["4x4", "4x8", "8x8"], help="bits of the signed operands, as 4x8")
    parser.add_argument("--vector-size", type=int, default=16, metavar="V", help="products added (default: 16)")
    parser.add_argument(
        "--liberty", default="nand2", metavar="FILE", help="cell library: a file, or one of the project"
    )
    options = parser.parse_args(arguments)
    try:
        library = Library.load(options.liberty)
        sizes = [parse_bits(text) for text in options.bits]
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    table = Table(title=f"Area of a dot product, V = {options.vector_size}, library {library.name}")
    for heading in ("bits", "way", "bits added", "full adders", "half adders", "depth", "area", "to array"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for size in sizes:
        array_area = 0.0
        for name, heap, area in measure(size, options.vector_size, library):
            array_area = array_area or area
            counts = (heap.bits_in, heap.full_adders, heap.half_adders, heap.depth)
            table.add_row(f"{size[0]}x{size[1]}", name, *map(str, counts), f"{area:,.0f}", f"{area / array_area:.3f}")
        table.add_section()
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
