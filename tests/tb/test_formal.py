"""The proofs of one small configuration, and that each can fail."""

import re

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.pe import encode
from vsq.tb.formal import encoders
from vsq.tb.formal import prove as formal
from vsq.tb.formal.equivalence import Verdict, compare_starts, compare_with
from vsq.tb.formal.prove import induction, transitions
from vsq.tb.formal.reference import reference
from vsq.tb.mutation.pins import Pins
from vsq.tb.regression.job import TOP

CONFIG = MacConfig.parse("2/2U/2/2:V=1,R=3,acc=6,pipeline=1")
DESIGN = design(CONFIG).rtlil(TOP)


def with_change(pattern: str, replacement: str) -> str:
    """Return the design with every match replaced; there must be one."""
    design, count = re.subn(pattern, replacement, DESIGN)
    assert count
    return design


@pytest.mark.parametrize(
    "check", ["protocol", *(pytest.param(check, marks=pytest.mark.slow) for check in ("formula", "power-up"))]
)
def test_small_design_is_proved(check):
    assert formal.CHECKS[check](CONFIG)


def test_every_input_is_simulated(require_tool):
    require_tool("verilator")
    assert formal.every_input(CONFIG) == "256"


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"connect \\last \\in_last", r"connect \\last 1'1"),  # results without their vectors
        (r"connect \\out_ready \\out_ready", r"connect \\out_ready 1'1"),  # a waiting result is overwritten
        (r"connect \\out_ready \\out_ready", r"connect \\out_ready 1'0"),  # no vector is accepted after the first
        (r"connect \\in_valid \\in_valid", r"connect \\in_valid 1'1"),  # vectors that nobody sent
    ],
)
def test_broken_protocol_is_found(pattern, replacement):
    with pytest.raises(AssertionError, match="the protocol is violated in cycle"):
        induction(transitions(CONFIG, with_change(pattern, replacement)), 6)


def test_wrong_formula_is_found():
    wrong = reference(CONFIG, "other").replace("overflow & !first1", "overflow")
    assert wrong != reference(CONFIG, "other")
    assert compare_with(Pins(CONFIG), DESIGN, wrong, 60) == Verdict.DIFFERENT


def test_a_visible_register_at_power_up_is_found():
    assert (
        compare_starts(Pins(CONFIG), with_change(r"connect \\rst \\rst", r"connect \\rst 1'0"), 60) == Verdict.DIFFERENT
    )


@pytest.mark.slow
def test_encoders_of_powers_are_proved_and_a_wrong_tie_is_not(monkeypatch):
    """With a defect, ties go up wherever they lie."""
    element = PeConfig.parse("mxfp4@")
    assert [check(element) for check in encoders.CHECKS.values()] == [Verdict.EQUIVALENT] * 2
    count = encode.ties_below
    monkeypatch.setattr(encode, "ties_below", lambda m, number, *rest: count(m, number | 1, *rest))
    assert encoders.check_codes(element) != Verdict.EQUIVALENT
