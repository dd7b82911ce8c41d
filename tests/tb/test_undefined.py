"""Undefined values under Icarus: none reaches a promised output, and one that does is found."""

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.design import design
from vsq.tb.mutation.pins import Pins, rows, run_undefined
from vsq.tb.regression.job import TOP

CONFIG = "4/4U/4/6:V=3,R=6,acc=16"


@pytest.fixture
def run(require_tool, tmp_path):
    require_tool("icarus")

    def run(config, verilog):
        pins = Pins(config)
        return run_undefined(pins, verilog, rows(pins, 300, 1), tmp_path)

    return run


@pytest.mark.parametrize("style", ["bitheap", "carrysave", "behavioural"])
@pytest.mark.parametrize("pipeline", range(4))
def test_no_undefined_value_after_reset(pipeline, style, run):
    config = MacConfig.parse(CONFIG, pipeline=pipeline, arithmetic=style)
    assert run(config, design(config).verilog(TOP)) == "passed"


def test_no_undefined_value_of_a_window(run):
    config = MacConfig.parse("e2m1/e2m1/e8m0/e8m0:V=2,window=20")
    assert run(config, design(config).verilog(TOP)) == "passed"


def test_a_register_without_reset_is_found(run):
    config = MacConfig.parse(CONFIG)
    verilog = design(config).verilog(TOP)
    assert "out_valid <= 1'b0;" in verilog
    assert "x" in run(config, verilog.replace("out_valid <= 1'b0;", "out_valid <= out_valid;"))


def test_an_undefined_payload_is_found(run):
    config = MacConfig.parse(CONFIG)
    verilog = design(config).verilog(TOP)
    assert "valid0 <= in_valid;" in verilog
    assert "x" in run(config, verilog.replace("valid0 <= in_valid;", "valid0 <= in_valid | last;"))
