"""Area of processing elements: components, buffers, ratios."""

from collections import Counter
from decimal import Decimal

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import PeDesign
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow
from vsq.synth.library.liberty import Library
from vsq.synth.measure.area import Area, baseline_of, by_component, checked_bit_area, measure, total
from vsq.synth.report.comparison import AreaReport

CONFIG = PeConfig.parse("3/3/2/2:V=2@lanes=4,weight_depth=4,activation_depth=8")


@pytest.fixture(scope="module")
def flow():
    return Flow(library=Library.load())


@pytest.fixture(scope="module")
def area(flow):
    (area,) = measure([CONFIG], flow, Decimal("0.5"))
    return area


def test_every_cell_belongs_to_one_component(area, flow):
    assert set(area.components) == {*PeDesign.components} - {"decoder"}  # of dual precision
    instances = Counter({area.netlist.top: 1})
    order = [area.netlist.top]
    for module in order:
        for cell, count in area.netlist.modules[module].items():
            if cell in area.netlist.modules:
                instances[cell] += count * instances[module]
                order.append(cell)
    cells = Counter()
    for module, times in instances.items():
        for cell, count in area.netlist.modules[module].items():
            if cell not in area.netlist.modules:
                cells[cell] += times * count
    assert total(area.components) == Area.of(cells, flow.library)
    assert instances[f"{area.netlist.top}_lane"] == 4


def test_memories_are_those_of_the_contract(area):
    mac = CONFIG.mac
    weight, activation = (mac.vector_size * fmt.bits + 2 for fmt in (mac.weight, mac.activation))
    params = CONFIG.multiplier_bits + CONFIG.shift_bits + CONFIG.bias_bits
    assert area.components["buffers"].memory_bits == 2 * (4 * 4 * weight + 8 * activation + 4 * params)
    assert area.components["dot"].memory_bits == 0


def test_ratios_are_to_the_baseline_with_the_same_buffers(area):
    assert area.baseline == baseline_of(CONFIG)
    assert area.baseline.full_name == "8/8/-/-:V=2@lanes=4,weight_depth=4,activation_depth=8"
    mine, other = area.total, total(area.baseline_components)
    assert area.logic_ratio == mine.area / other.area
    with_buffers = [part.area + Decimal("0.5") * part.memory_bits for part in (mine, other)]
    assert area.ratio == with_buffers[0] / with_buffers[1]
    buffers = Decimal("0.5") * other.memory_bits
    assert area.equal_bytes_ratio == (mine.area + buffers) / (other.area + buffers)
    assert area.ratio < area.equal_bytes_ratio
    assert "scale" not in area.baseline_components
    figures = {(r.component, r.quantity): r.value for r in area.records("NAND2")}
    assert figures["total", "area with buffers"] == float(with_buffers[0])
    assert figures["total", "ratio at equal buffer bytes"] == float(area.equal_bytes_ratio)
    assert figures["total", "area"] < figures["total", "area with buffers"]
    assert figures["ppu", "area"] == float(area.components["ppu"].area)


def test_a_module_counts_as_often_as_it_is_instantiated():
    modules = {"m": {"m_lanes": 1, "INV": 1}, "m_lanes": {"m_lane": 3}, "m_lane": {"m_dot": 1}, "m_dot": {"FA": 2}}
    modules["m"]["m_weight_buffer"] = 1
    modules["m_weight_buffer"] = {"memory_5x4": 2, "DFF": 1}
    parts = by_component(Netlist(top="m", modules=modules, verilog=""), Library.load(), PeDesign.components)
    assert {name: (dict(part.cells), part.memory_bits) for name, part in parts.items()} == {
        "dot": ({"FA": 6}, 0),
        "buffers": ({"DFF": 1}, 40),
        "control": ({"INV": 1}, 0),
    }


@pytest.mark.slow
def test_a_flattened_element_has_no_lanes(flow):
    (area,) = measure([CONFIG], Flow(library=flow.library, flatten=True))
    assert list(area.components) == ["control"]
    assert area.lanes_ratio is None
    assert ("lanes", "ratio") not in {(record.component, record.quantity) for record in area.records("NAND2")}
    assert [*AreaReport(flow=flow, areas=[area]).table().columns[-4].cells] == ["-"]


def test_the_table_shows_every_ratio(area, flow):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(AreaReport(flow=flow, areas=[area]).table())
    text = capture.get()
    for figure in (area.lanes_ratio, area.logic_ratio, area.equal_bytes_ratio, area.ratio):
        assert f"{figure:.3f}" in text
    assert f"{area.total.memory_bits:,}" in text


@pytest.mark.parametrize("text", ["-1", "nan", "big"])
def test_the_area_of_a_bit_is_a_number(text):
    with pytest.raises(InputError, match=f"bit area '{text}': must be a number from 0"):
        checked_bit_area(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["area", "--pe", "4/4/4/6", "--timing"], "--pe: critical paths are those of the vector MAC"),
        (["area", "--pe", "4/4/4/6", "--bit-area", "x"], "bit area 'x'"),
        (["area", "4/4/4/6:V=2", "--bit-area", "2"], "bit area 2: a vector MAC has no buffers; leave it out"),
        (["area", "--pe", "headlin"], "did you mean headline"),
        (["area", "--pe", "4/4/4/6@lanes=99"], "lanes = 99"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert vsq.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
