"""Bit heaps proved equal to the operators by SAT, and their full adders found again, both in Yosys."""

import re

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module, Signal, signed, unsigned

from vsq.hw.arithmetic.bitheap import BitHeap
from vsq.hw.arithmetic.carrysave import CarrySaveHeap
from vsq.hw.arithmetic.chains import ChainHeap
from vsq.hw.arithmetic.products import multiply
from vsq.hw.emit.yosys import run_yosys


def dot(w_shape, a_shape, vector_size, width, narrow=False, heap_class=BitHeap):
    m = Module()
    pairs = [(Signal(w_shape, name=f"w{i}"), Signal(a_shape, name=f"a{i}")) for i in range(vector_size)]
    heap = heap_class(width)
    for w, a in pairs:
        multiply(heap, w, a, narrow)
    return m, pairs, heap, heap.compress(m)


def prove(m, pairs, equal):
    m.d.comb += (ok := Signal(name="ok")).eq(equal)
    text = rtlil.convert(m, ports=[*(signal for pair in pairs for signal in pair), ok], name="top")
    log = run_yosys(["read_rtlil top.il", "synth -flatten", "sat -verify -prove ok 1 top"], {"top.il": text})["log"]
    assert "SUCCESS!" in log


@pytest.mark.parametrize("heap_class", [BitHeap, CarrySaveHeap, ChainHeap])
@pytest.mark.parametrize(
    ("w_shape", "a_shape", "vector_size"),
    [
        (signed(4), signed(4), 1),
        (signed(3), unsigned(3), 2),
        (unsigned(3), unsigned(2), 3),
        (signed(2), signed(8), 1),
        (signed(3), signed(3), 2),
    ],
    ids=str,
)
def test_dot_product_equals_the_operators(w_shape, a_shape, vector_size, heap_class):
    width = w_shape.width + a_shape.width + vector_size
    m, pairs, _, total = dot(w_shape, a_shape, vector_size, width, heap_class=heap_class)
    prove(m, pairs, total == sum(w * a for w, a in pairs).as_unsigned()[:width])


def test_narrow_dot_product_equals_the_operators_where_promised():
    m, pairs, heap, total = dot(signed(4), signed(4), 1, 8, narrow=True)
    assert heap.bits_in == 12
    w, a = pairs[0]
    prove(m, pairs, (total == (w * a).as_unsigned()) | (w == -8) | (a == -8))


@pytest.mark.parametrize(("bits", "narrow"), [((4, 4), False), ((4, 4), True), ((4, 8), False)], ids=str)
def test_every_full_adder_is_extracted(bits, narrow):
    m, pairs, heap, total = dot(signed(bits[0]), signed(bits[1]), 8, bits[0] + bits[1] + 3, narrow)
    text = rtlil.convert(m, ports=[*(signal for pair in pairs for signal in pair), total], name="top")
    log = run_yosys(
        ["read_rtlil top.il", "synth -flatten -noabc", "extract_fa -fa", "clean", "stat"], {"top.il": text}
    )["log"]
    assert int(re.findall(r"(\d+)\s+\$fa\b|\$fa\s+(\d+)", log)[-1][0]) == heap.full_adders
