"""Designs: one table chooses them, and their parts, components and names agree."""

from itertools import chain

import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import TOP, AxisDesign, MacDesign, PeDesign, design

MAC, ELEMENT = configuration("4/4/4/6:V=2"), configuration("4/4/4/6:V=2@lanes=4")


@pytest.mark.parametrize(
    ("config", "interface", "kind", "name"),
    [
        (MAC, "native", MacDesign, "vsq_mac_w4_a4_ws4_as6_v2"),
        (MAC, "axis", AxisDesign, "vsq_mac_axis_w4_a4_ws4_as6_v2"),
        (ELEMENT, "native", PeDesign, "vsq_pe_w4_a4_ws4_as6_v2_lanes4"),
    ],
)
def test_configuration_and_interface_choose_the_design(config, interface, kind, name):
    made = design(config, interface)
    assert type(made) is kind
    assert made.config == config
    assert made.default_name == name
    assert config.full_name in made.title


@pytest.mark.parametrize(
    ("config", "interface", "message"),
    [(MAC, "avalon", "choose one of native, axis"), (ELEMENT, "axis", "plain ports alone; leave it out")],
)
def test_interfaces_that_are_not_there_are_refused(config, interface, message):
    with pytest.raises(InputError, match=message):
        design(config, interface)


@pytest.mark.parametrize("kind", [MacDesign, AxisDesign, PeDesign])
def test_every_module_belongs_to_one_component(kind):
    """Area and energy are split by components: none may be missing, or counted twice."""
    assert sorted(chain(*kind.components.values())) == sorted({TOP, *kind.parts.values()})


def test_a_flag_whose_name_ends_as_that_of_a_handshake_is_no_stream():
    inputs, results = design(configuration("e4m3/e4m3/-/-:V=2,finite=0")).manifest()["streams"]
    assert (inputs["name"], results["name"]) == ("in", "out")
    assert results["payload"] == ["out_acc", "out_overflow", "out_invalid"]
