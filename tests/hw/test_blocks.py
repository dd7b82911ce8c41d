"""Dot products in DSP blocks: two products in one where they fit, each sum the exact one."""

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.fpga.families import FAMILIES


def dot_product(config, name):
    """Return Verilog whose module ``<name>_dot`` is the dot product of a design."""
    return design(MacConfig.parse(config)).verilog(name)


def proved(config, edit=lambda text: text):
    """Return whether Yosys proves that a dot product in blocks is that of operators."""
    files = {
        "plain.v": dot_product(f"{config},style=behavioural", "plain"),
        "blocks.v": edit(dot_product(f"{config},target=fpga,dsp=all", "blocks")),
    }
    commands = ["read_verilog plain.v", "read_verilog blocks.v", "proc", "flatten plain_dot blocks_dot", "opt -full"]
    commands += ["miter -equiv -flatten plain_dot blocks_dot miter", "hierarchy -top miter", "opt -full"]
    log = run_yosys([*commands, "sat -prove trigger 0 miter"], files)["log"]
    return "SUCCESS!" in log


@pytest.mark.parametrize(
    "config", ["2/2U/-/-:V=3,pipeline=0", pytest.param("2/2/-/-:V=2,pipeline=0", marks=pytest.mark.slow)]
)
def test_two_products_in_one_are_those_of_operators(config):
    assert proved(config)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["3/2/-/-:V=2,pipeline=0", "2U/2U/-/-:V=2,pipeline=0", "e2m1/2/-/-:V=2,pipeline=0"])
def test_two_products_of_other_codes_are_those_of_operators(config):
    assert proved(config)


@pytest.mark.slow
def test_a_lost_borrow_is_found():
    """The bit below the sum of two products gives back what the product below has borrowed."""
    config = "2/2U/-/-:V=2,pipeline=0"

    def lost(text):
        assert "products0[4]" in text
        return text.replace("products0[4]", "1'b0")

    assert not proved(config, lost)


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "blocks"), [("4/4", 8), ("5/5U", 8), ("5/6", 16), ("8/8", 16)])
def test_blocks_take_two_products_where_they_fit(bits, blocks):
    family, name = FAMILIES["ecp5"], "mac"
    text = dot_product(f"{bits}/-/-:pipeline=0,target=fpga,dsp=all", name)
    command = f"{family.command} -top {name}_dot".replace("-noflatten", "")
    log = run_yosys(["read_verilog dot.v", command, "stat"], {"dot.v": text})["log"]
    assert log.rpartition("Printing statistics")[2].split("MULT18X18D")[0].split()[-1] == str(blocks)
