"""SRAM macros in place of an element's buffers: area and energy by hand, and what is refused."""

from dataclasses import replace
from decimal import Decimal

import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.pe.memory import MemoryShape
from vsq.synth.flow.synthesis import Flow
from vsq.synth.library.liberty import Library
from vsq.synth.library.macros import MacroEnergy, PortEnergy, load_macros
from vsq.synth.measure.area import MemoryPrices, measure
from vsq.synth.measure.energy import MEMORIES, Setup, bit_energy, energy_per_operation
from vsq.synth.report.comparison import AreaReport, EnergyReport

CONFIG = PeConfig.parse("2/3/1/1:V=2@lanes=2,weight_depth=2,activation_depth=4,ppu=off")
# In the form of OpenRAM: port 0 reads and writes, port 1 reads; energies in pJ.
MACRO = """
library (ram_lib) {{
  voltage_unit : "1V"; capacitive_load_unit (1, pF); leakage_power_unit : "1mW";
  cell ({name}) {{
    memory () {{ type : ram; address_width : {address}; word_width : {width}; }}
    dont_use : true; area : 500.25; cell_leakage_power : 0.002;
    bus (din0) {{ direction : input; memory_write () {{ address : addr0; clocked_on : clk0; }} }}
    bus (dout0) {{ direction : output; memory_read () {{ address : addr0; }}
      pin (dout0[1:0]) {{ timing () {{ related_pin : "clk0"; timing_type : falling_edge; }} }} }}
    bus (dout1) {{ direction : output; memory_read () {{ address : addr1; }}
      pin (dout1[1:0]) {{ timing () {{ related_pin : "clk1"; timing_type : falling_edge; }} }} }}
    pin (clk0) {{ clock : true; direction : input; capacitance : 0.01;
      internal_power () {{ when : "!csb0 & !web0";
        rise_power (scalar) {{ values ("{active}"); }} fall_power (scalar) {{ values ("{active}"); }} }}
      internal_power () {{ when : "csb0";
        rise_power (scalar) {{ values ("{idle}"); }} fall_power (scalar) {{ values ("{idle}"); }} }} }}
    pin (clk1) {{ clock : true; direction : input; capacitance : 0.01;
      internal_power () {{ when : "csb1"; power (scalar) {{ values ("{idle}"); }} }}
      internal_power () {{ when : "!csb1"; power (scalar) {{ values ("{active}"); }} }} }} }}
}}
"""


def liberty(folder, shape, *, active=2.5, idle=0.25, text=MACRO):
    """Write the file of a macro of a shape, and return its path."""
    path = folder / f"ram_{shape.kind}.lib"
    address = shape.depth.bit_length() - 1
    path.write_text(text.format(name=path.stem, address=address, width=shape.width, active=active, idle=idle))
    return path


def test_a_macro_is_read_from_its_liberty(tmp_path):
    shape = MemoryShape(20, 64)
    macros = load_macros([liberty(tmp_path, shape)])
    assert list(macros) == [shape]
    assert macros[shape].area == Decimal("500.25")
    energy = macros[shape].energy(0.1)
    port = PortEnergy(access=pytest.approx(5e-12), idle=pytest.approx(0.5e-12))
    assert energy == MacroEnergy(read=port, write=port, leakage=pytest.approx(2e-6))
    assert energy.read.per_cycle(0.25) == pytest.approx(0.5e-12 + 0.25 * 4.5e-12)


@pytest.mark.slow
def test_area_takes_the_macro_of_each_memory_of_its_shape(tmp_path):
    weights = design(CONFIG).memories[0]
    flow, macros = Flow(library=Library.load()), load_macros([liberty(tmp_path, weights)])
    [found] = measure([CONFIG], flow, Decimal("0.5"), macros)
    plain = replace(found, prices=MemoryPrices(bit=Decimal("0.5")))
    assert found.total.memories[weights] == CONFIG.lanes
    assert found.with_buffers - plain.with_buffers == 2 * (Decimal("500.25") - Decimal("0.5") * 5 * 4)
    assert found.baseline_with_buffers == plain.baseline_with_buffers
    assert found.logic_ratio == plain.logic_ratio
    assert found.ratio == found.with_buffers / found.baseline_with_buffers > plain.ratio
    report = AreaReport(flow=flow, areas=[found])
    assert "4 words of 5 bits by ram_memory_5x4" in " ".join(report.table().caption.split())
    figures = {(one.component, one.quantity): one.value for one in report.records()}
    assert figures["buffers", "area of memory_5x4"] == 500.25


@pytest.mark.slow
def test_macros_that_cost_what_bits_cost_change_no_energy(osu018, tmp_path):
    setup = Setup.of(osu018.path, "gaussian", 0.1)
    bit = bit_energy(setup)
    [plain] = energy_per_operation([CONFIG], setup)
    found = {}
    for config in (CONFIG, plain.baseline):
        for shape in design(config).memories:
            path = liberty(tmp_path, shape, active=shape.width * bit / 2 * 1e12, idle=0)
            found |= load_macros([path])
    setup = replace(setup, macros=found)
    [same] = energy_per_operation([CONFIG], setup)
    assert ", 4 words of 5 bits by ram_memory_5x4" in str(EnergyReport(setup=setup, energies=[same]).table().caption)
    assert same.components[MEMORIES].total == pytest.approx(plain.components[MEMORIES].total)
    assert same.ratio == pytest.approx(plain.ratio)
    assert same.components[MEMORIES].leakage == pytest.approx(len(design(CONFIG).memories) * 2e-6)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("memory () {{ type", "other () {{ type"), "no cell of it has a memory group"),
        (
            lambda text: text.replace("address : addr1", "address : addr0"),
            "cannot read one word while it writes another",
        ),
        (
            lambda text: text.replace("area : 500.25", "area : large"),
            "area 'large' is not a finite number; correct the file",
        ),
        *(
            (lambda text, area=area: text.replace("500.25", area), rule)
            for area, rule in {
                "nan": "area 'nan' is not a finite number",
                "inf": "area 'inf' is not a finite number",
                "1e999999": "area '1e999999' is not a finite number",
                "0": "area 0 is not above 0",
                "-5": "area -5 is not above 0",
            }.items()
        ),
        *(
            (lambda text, width=width: text.replace("{address}", width), f"address_width {width} is not a whole number")
            for width in ("99999999", "-3", "3.5", "9" * 5000)
        ),
        (lambda text: text.replace("{width}", "-14"), "word_width -14 is not a whole number from 1 to 65536"),
        (lambda text: text.replace("word_width", "width"), "its group memory has no word_width"),
        (lambda text: text.replace("clocked_on", "clock"), "its group memory_write has no clocked_on"),
        (
            lambda text: text.replace('related_pin : "clk1";', ""),
            "its read bus dout1 names no clock, which takes a timing group with related_pin",
        ),
        (
            lambda text: text.replace("dont_use : true;", "dont_use : {{"),
            "line 6 is no Liberty statement",
        ),
    ],
)
def test_a_file_without_a_fitting_macro_is_refused(edit, message, tmp_path):
    path = liberty(tmp_path, MemoryShape(8, 8), text=edit(MACRO))
    with pytest.raises(InputError, match=message):
        load_macros([path])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.replace("clk1", "clk0"), "share the clock clk0"),
        (lambda text: text.replace("internal_power", "no_power"), "its clock clk1 has no internal_power"),
        (lambda text: text.replace("1V", "1mV"), "voltage_unit is not 1V"),
        (lambda text: text.replace("capacitive_load_unit (1, pF);", ""), "not read .capacitive_load_unit is missing"),
        (lambda text: text.replace('"1mW"', '"1mX"'), "leakage_power_unit '1mX' is not one of ff, pf"),
        (lambda text: text.replace("{active}", ""), "not read .values of a table are missing"),
        (lambda text: text.replace("{active}", "1, 2"), "power has 2 values for 1 places"),
        (lambda text: text.replace("{active}", "nan"), "values 'nan' is not a finite number"),
        (lambda text: text.replace("{active}", "x"), "values 'x' is not a finite number"),
        (lambda text: text.replace("{active}", "-2.5"), "joules of a clock cycle -5e-12 is negative"),
        (
            lambda text: text.replace("rise_power (scalar)", "rise_power (absent)"),
            "template 'absent', which is missing",
        ),
        (lambda text: text.replace("fall_power", "no_power"), "an internal_power has no energy of both edges"),
        (lambda text: text.replace("0.002", "-4"), "leakage power -4 is negative"),
        (lambda text: text.replace("0.002", "nan"), "cell_leakage_power 'nan' is not a finite number"),
    ],
)
def test_a_macro_without_energy_is_refused(edit, message, tmp_path):
    shape = MemoryShape(8, 8)
    macro = load_macros([liberty(tmp_path, shape, text=edit(MACRO))])[shape]
    with pytest.raises(InputError, match=message):
        macro.energy(0.1)


@pytest.mark.parametrize(
    ("groups", "milliwatts"),
    [
        ('leakage_power () {{ when : "csb0"; value : 0.5; }} leakage_power () {{ value : 0.7; }}', 0.7),
        ('leakage_power () {{ when : "csb0"; value : 1; }} leakage_power () {{ when : "!csb0"; value : 0.5; }}', 0.75),
        ("", 0),
    ],
)
def test_groups_give_the_leakage_that_no_attribute_gives(groups, milliwatts, tmp_path):
    shape = MemoryShape(8, 8)
    path = liberty(tmp_path, shape, text=MACRO.replace("cell_leakage_power : 0.002;", groups))
    assert load_macros([path])[shape].energy(0.1).leakage == pytest.approx(milliwatts * 1e-3)


def test_bad_input_is_one_line(osu018, tmp_path, capsys):
    wrong, unknown = liberty(tmp_path, MemoryShape(9, 8)), tmp_path / "absent.lib"
    weights = liberty(tmp_path, design(CONFIG).memories[0])
    twice = tmp_path / "twice.lib"
    twice.write_text(weights.read_text().replace("ram_memory", "other"))
    element, mac = CONFIG.full_name, "4/4/4/6"
    with_library = ["--liberty", str(osu018.path), "--macro"]
    for arguments, message in (
        (
            [element, *with_library, str(wrong)],
            "it has 8 words of 9 bits, and the designs and their baselines have 4 of 16, 8 of 16, 4 of 5, 8 of 7; give",
        ),
        ([mac, *with_library, str(wrong)], "a vector MAC has no memory"),
        ([element, *with_library, str(unknown)], "No such file"),
        ([element, *with_library, str(weights), str(twice)], "both have 4 words of 5 bits; give one of them"),
        ([element, "--macro", str(weights)], "areas of library vsq_nand2 are in NAND2; give --liberty"),
    ):
        assert vsq.main(["area", *arguments]) == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
