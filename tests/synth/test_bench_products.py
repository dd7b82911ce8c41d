"""The benchmark of partial products: what it accepts, and that its figures fit together."""

import pytest

from benchmarks.products import FULL, NARROW, main, measure, parse_bits
from vsq.golden.contract.errors import InputError
from vsq.synth.library.liberty import Library


@pytest.mark.parametrize("text", ["4", "4x", "1x4", "4x17", "4x4x4", "axb"])
def test_bad_bits_are_refused(text):
    with pytest.raises(InputError, match="operand bits"):
        parse_bits(text)


def test_bad_input_exits_with_2_and_one_line(capsys):
    assert main(["4x99"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_choice_is_the_smallest_way():
    areas = {name: area for name, _, area in measure((4, 4), 2, Library.load())}
    assert areas.keys() == FULL.keys() | NARROW.keys()
    assert areas["chosen"] == min(areas[name] for name in FULL)
    assert areas["chosen, narrow"] == min(areas.values())
