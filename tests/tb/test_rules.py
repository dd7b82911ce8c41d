"""Assertions beside a design: proved and simulated, each can fail, and each defect of streams or overflow fails one."""

import re

import pytest

from vsq.golden.contract.config import PRESETS
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design
from vsq.tb.formal.equivalence import Verdict
from vsq.tb.formal.rules import DESIGNS, check_rules, rules
from vsq.tb.regression import worker
from vsq.tb.regression.job import TOP, Job

SMALL = "2/2U/2/2:V=1,R=3,acc=5,pipeline=1"
SECONDS = 60
# Each assertion of a vector MAC, made wrong.
WRONG = {
    "in_is_defined": None,  # of values that a proof does not have
    "out_is_defined": None,
    "out_waits_on": (r"\(~out_waits \| out_valid\)", "(~out_waits | ~out_valid)"),
    "out_is_stable": ("out_word == out_held", "out_word != out_held"),
    "no_result_without_its_vector": ("due != 0", "due == 0"),
    "none_survives_a_reset": (r"~was_reset \| ~valid_o", "was_reset | ~valid_o"),
    "places_hold_all_that_are_due": ("due} <= PLACES", "due} < PLACES"),
    "vectors_are_accepted_while_results_are": ("~due_to_accept", "due_to_accept"),
    "overflow_is_sticky": (r"starts\[0\] \| ~overflowed", "~overflowed"),
    "overflow_saturates": (r"~single\[0\] \| ~overflow_o", "~overflow_o"),
}
# Defects of the RTLIL, and the assertions of which one fails.
DEFECTS = [
    (r"connect \\last \\in_last", r"connect \\last 1'1"),  # results without their vectors
    (r"connect \\out_ready \\out_ready", r"connect \\out_ready 1'1"),  # a waiting result is overwritten
    (r"connect \\out_ready \\out_ready", r"connect \\out_ready 1'0"),  # no vector is accepted after the first
    (r"connect \\rst \\rst", r"connect \\rst 1'0"),  # results survive a reset
]


def verdict(text, interface="native", edit=lambda text: text, change=lambda rtlil: rtlil):
    made = design(configuration(text), interface)
    return check_rules(made, change(made.rtlil(TOP)), edit(rules(made)), SECONDS)


@pytest.mark.parametrize(
    ("text", "interface"), [(SMALL, "native"), (SMALL, "axis"), ("2/2/-/-:V=1,acc=5,overflow=wrap", "native")]
)
def test_no_assertion_of_a_small_design_fails(text, interface):
    assert verdict(text, interface) == Verdict.EQUIVALENT


@pytest.mark.slow
@pytest.mark.parametrize(("text", "interface"), [*((name, "native") for name in ("headline", "wide")), *DESIGNS[-2:]])
def test_no_assertion_of_a_preset_or_an_element_fails(text, interface):
    assert verdict(text, interface) == Verdict.EQUIVALENT


def test_all_presets_are_on_the_list():
    assert {text for text, _ in DESIGNS} >= set(PRESETS)


def test_every_assertion_can_fail():
    text = rules(design(configuration(SMALL)))
    assert set(re.findall(r"(\w+): assert", text)) == set(WRONG)
    for name, wrong in WRONG.items():
        if wrong:
            [line] = re.findall(rf"^.*\b{name}: assert.*$", text, re.MULTILINE)
            changed, count = re.subn(*wrong, line)
            assert count == 1
            assert (
                verdict(SMALL, edit=lambda text, line=line, changed=changed: text.replace(line, changed))
                == Verdict.DIFFERENT
            ), name


@pytest.mark.parametrize(("pattern", "replacement"), DEFECTS)
def test_a_defect_fails_an_assertion(pattern, replacement):
    def change(rtlil):
        changed, count = re.subn(pattern, replacement, rtlil)
        assert count
        return changed

    assert verdict(SMALL, change=change) == Verdict.DIFFERENT


@pytest.mark.slow
@pytest.mark.parametrize("config", [SMALL, "4/4U/4/6:V=2,acc=9@lanes=2,weight_depth=2,activation_depth=4"])
def test_a_wrong_assertion_stops_a_regression(config, require_tool, tmp_path, monkeypatch):
    require_tool("verilator")
    sound = rules(design(configuration(config)))
    job = Job(config=config, simulator="verilator", seed=1, beats=60, waves=False)
    (tmp_path / "sound").mkdir()
    assert not [o for o in worker.run(job, tmp_path / "sound").outcomes if o.failure and o.name != "coverage"]
    wrong = sound.replace("assert (~valid_o | due != 0)", "assert (~valid_o | due == 0)")
    assert wrong != sound
    monkeypatch.setattr(worker, "rules", lambda made, name: wrong)
    (tmp_path / "wrong").mkdir()
    result = worker.run(job, tmp_path / "wrong")
    assert not result.passed
    assert "no_result_without_its_" in (tmp_path / "wrong" / "simulation.log").read_text()
