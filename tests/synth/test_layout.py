"""Layouts: LEF and DEF as they are read, connectivity with planted faults, wires by hand, and bad input."""

import re
import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from vsq.cli.main import main
from vsq.explore.measures.layout import LayoutMeasure
from vsq.explore.store import Task
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.synth.gatesim.netlist import ONE, Gate, Gates
from vsq.synth.layout import qflow, run
from vsq.synth.layout.conductors import conductors, contacts, turned
from vsq.synth.layout.connectivity import LayoutError, check_cells, check_ports, check_wires
from vsq.synth.layout.def_file import Segment, Via, parse
from vsq.synth.layout.lef import Lef, check_process
from vsq.synth.layout.lef import parse as read
from vsq.synth.layout.netlist import check_gates
from vsq.synth.layout.parasitics import VIA_RESISTANCE, drivers, estimate, extract, half_perimeters, pin_places
from vsq.synth.layout.spef import spef
from vsq.synth.library.liberty import Library

OSU018 = Path("/usr/share/qflow/tech/osu018")

LAYER = """LAYER m{number} TYPE ROUTING ; DIRECTION {direction} ; PITCH 1 ; WIDTH 0.4 ;
  RESISTANCE RPERSQ 0.0{number} ; CAPACITANCE CPERSQDIST {number}e-05 ; EDGECAPACITANCE {number}e-04 ;
END m{number}
"""
VIA = """VIA v{number} DEFAULT
  LAYER m{number} ; RECT -0.2 -0.2 0.2 0.2 ; LAYER cut{number} ; RECT -0.1 -0.1 0.1 0.1 ;
  LAYER m{above} ; RECT -0.2 -0.2 0.2 0.2 ;
END v{number}
"""
PIN = """PIN {name} DIRECTION INOUT ; USE {use} ;
    PORT LAYER m1 ; {boxes} END
  END {name}
"""
CELL = """MACRO {name} CLASS CORE ; ORIGIN 0 0 ; SIZE {width} BY 10 ; SYMMETRY X Y ;
  {pins}{inside}
END {name}
"""
RAILS = [("gnd", "GROUND", "RECT 0 -0.3 {width} 0.3 ;"), ("vdd", "POWER", "RECT 0 9.7 {width} 10.3 ;")]
SIGNALS = [("A", "SIGNAL", "RECT 0.2 4 0.6 5 ;"), ("Y", "SIGNAL", "RECT 1.2 2 1.6 8 ; RECT 1 7 1.6 8 ;")]
DEF = """VERSION 5.6 ;
# two inverters in a row, the second one flipped
UNITS DISTANCE MICRONS 100 ;
DIEAREA ( -200 -200 ) ( 900 1200 ) ;
COMPONENTS 3 ;
- u1 INV + PLACED ( 0 0 ) N ;
- u2 INV + PLACED ( 400 0 ) FN ;
- f1 FILL + PLACED ( 200 0 ) N ;
END COMPONENTS
PINS 2 ;
- a + NET a
  + LAYER m2 ( -20 -20 ) ( 20 20 ) + PLACED ( 40 -180 ) N ;
- y + NET y + LAYER m2 ( -20 -20 ) ( 20 20 ) + PLACED ( 460 1180 ) S ;
END PINS
NETS 3 ;
- a ( PIN a ) ( u1 A )
+ ROUTED m2 ( 40 -180 ) ( * 450 ) v1 ;
- n1 ( u1 Y ) ( u2 A )
+ ROUTED m1 ( 140 700 ) v1
  NEW m2 ( 140 700 ) ( * 900 ) v2
  NEW m3 ( 140 900 ) ( 560 * ) v2
  NEW m2 ( 560 900 ) ( * 450 ) v1 ;
- y ( u2 Y ) ( PIN y )
+ ROUTED m2 ( 460 1180 ) ( * 500 ) v1 ;
END NETS
SPECIALNETS 2 ;
- vdd + FIXED m2 160 ( -100 -100 ) ( * 1100 )
 ;
- a
+ ROUTED m1 40 ( 40 450 ) ( * 480 ) ;
END SPECIALNETS
END DESIGN
"""
WANTED = [("INV", frozenset({("A", "a"), ("Y", "n1")})), ("INV", frozenset({("A", "n1"), ("Y", "y")}))]


def cell(name, width, pins, inside=""):
    boxes = [(pin, use, box.format(width=width)) for pin, use, box in [*pins, *RAILS]]
    text = "  ".join(PIN.format(name=pin, use=use, boxes=box) for pin, use, box in boxes)
    return CELL.format(name=name, width=width, pins=text, inside=inside)


LEF = "".join(
    [
        "VERSION 5.4 ;\nUNITS DATABASE MICRONS 1000 ; END UNITS\nMANUFACTURINGGRID 0.05 ;\n",
        "LAYER poly TYPE MASTERSLICE ; END poly\n",
        *(
            LAYER.format(number=number, direction=direction)
            for number, direction in enumerate(("HORIZONTAL", "VERTICAL", "HORIZONTAL"), start=1)
        ),
        *(VIA.format(number=number, above=number + 1) for number in (1, 2)),
        "VIARULE gen GENERATE LAYER m1 ; WIDTH 0.3 TO 60 ; END gen\nSITE core SIZE 1 BY 10 ; END core\n",
        cell("INV", 2, SIGNALS, "OBS LAYER m1 ; RECT 0.2 8.5 0.4 9 ; END"),
        cell("FILL", 2, []),
        "END LIBRARY\n",
    ]
)


@pytest.fixture
def lef(tmp_path):
    """The LEF of an inverter and a filler, in two files."""
    technology, _, cells = LEF.partition("MACRO")
    (tmp_path / "technology.lef").write_text(technology + "END LIBRARY\n")
    (tmp_path / "cells.lef").write_text("# cells alone\nMACRO" + cells)
    return Lef.load([tmp_path / "technology.lef", tmp_path / "cells.lef"])


def check(layout, lef):
    check_cells(layout, lef, WANTED)
    check_ports(layout, ["a", "y"])
    found = conductors(layout, lef)
    check_wires(layout, found, contacts(found, layout.scale))


def with_net(layout, name, **changes):
    return replace(layout, nets=layout.nets | {name: replace(layout.nets[name], **changes)})


def without_via(layout, net, via):
    return with_net(layout, net, vias=tuple(each for each in layout.nets[net].vias if each != via))


def with_wire(layout, net, layer, *points):
    return with_net(layout, net, segments=(*layout.nets[net].segments, Segment(layer, *points)))


def test_lef_is_read(lef):
    assert [(layer.name, layer.horizontal) for layer in lef.layers] == [("m1", True), ("m2", False), ("m3", True)]
    second = lef.layers[1]
    assert second.resistance == pytest.approx(0.02 / 0.4)
    assert second.capacitance == pytest.approx((2e-5 * 0.4 + 2 * 2e-4) * 1e-12)
    assert lef.vias["v2"] == (("m2", (-0.2, -0.2, 0.2, 0.2)), ("m3", (-0.2, -0.2, 0.2, 0.2)))
    inverter = lef.macros["INV"]
    assert (inverter.area, inverter.obstructions) == (20, (("m1", (0.2, 8.5, 0.4, 9)),))
    assert inverter.pins["Y"].shapes[1] == ("m1", (1, 7, 1.6, 8))
    assert (lef.filler.name, lef.supply("POWER"), lef.supply("GROUND")) == ("FILL", "vdd", "gnd")
    assert (lef.grid, lef.scale, replace(lef, grid=0.0025).scale) == (0.05, 100, 2000)


def test_polygons_and_texts_of_lef_are_read():
    shape = "POLYGON 0 0 3 0 3 1 2 1 2 2 3 2 3 4 0 4 0 0 ; RECT MASK 1 7 9 6 8 ;"
    text = LEF.replace("RECT 0.2 4 0.6 5 ;", shape).replace(
        "PITCH 1 ;", 'PROPERTY P "WIDTH 9 ; # no END" ; PITCH 1 ;', 1
    )
    found = read(text)
    boxes = [box for _, box in found.macros["INV"].pins["A"].shapes]
    assert boxes == [(0, 0, 3, 1), (0, 1, 2, 2), (0, 2, 3, 4), (6, 8, 7, 9)]
    assert found.layers[0].width == 0.4
    with pytest.raises(ValueError, match="slanted"):
        read(LEF.replace("RECT 0.2 4 0.6 5 ;", "POLYGON 0 0 1 0 1 1 ;"))


def test_def_is_read():
    layout = parse(DEF)
    assert (layout.scale, layout.die) == (100, (-200, -200, 900, 1200))
    assert layout.components["u2"].orientation == "FN"
    net = layout.nets["n1"]
    assert net.pins == (("u1", "Y"), ("u2", "A"))
    assert [segment.length for segment in net.segments] == [200, 420, 450]
    assert net.vias[-1] == Via("v1", (560, 450))
    # Wires with widths of their own are among the special nets, also those of signals.
    assert layout.nets["a"].segments[-1] == Segment("m1", (40, 450), (40, 480), 40)
    assert [*layout.supplies] == ["vdd"]


def test_orientations_are_those_of_def():
    box = (1, 2, 5, 3)
    points = {"N": (1, 2, 5, 3), "W": (-3, 1, -2, 5), "S": (-5, -3, -1, -2), "E": (2, -5, 3, -1)}
    points |= {"FN": (-5, 2, -1, 3), "FS": (1, -3, 5, -2), "FW": (2, 1, 3, 5), "FE": (-3, -5, -2, -1)}
    assert {orientation: turned(box, orientation) for orientation in points} == points


def test_a_sound_layout_passes(lef):
    check(parse(DEF), lef)


@pytest.mark.parametrize("via", [Via("v2", (140, 900)), Via("v1", (560, 450)), Via("v1", (140, 700))])
def test_a_planted_open_net_is_refused(via, lef):
    layout = without_via(parse(DEF), "n1", via)
    with pytest.raises(LayoutError, match=r"^open nets: n1, in 2 parts, one of them (u1 Y|u2 A)$"):
        check(layout, lef)


def test_a_wire_that_ends_before_the_pin_is_open(lef):
    layout = parse(DEF)
    [first, *_] = layout.nets["y"].segments
    short = replace(first, end=(460, 900))
    layout = with_net(layout, "y", segments=(short,), vias=(Via("v1", (460, 900)),))
    with pytest.raises(LayoutError, match="open nets: y, in 2 parts"):
        check(layout, lef)


@pytest.mark.parametrize(
    ("net", "layer", "points", "message"),
    [
        ("a", "m2", ((40, 450), (140, 450)), None),  # below the wire of n1
        ("a", "m2", ((40, 700), (140, 700)), "shorts: a touches n1 on m2"),
        ("a", "m3", ((40, 860), (100, 860)), "shorts: a touches n1 on m3 at 1.2, 8.8 um"),  # edge to edge
        ("a", "m3", ((40, 859), (100, 859)), None),
        ("n1", "m1", ((140, 700), (140, 1000)), "shorts: n1 touches vdd on m1"),
        ("a", "m1", ((30, 450), (30, 860)), r"shorts: a touches u1 \(inside\) on m1"),
        ("y", "m2", ((-100, 500), (460, 500)), "shorts: .*vdd"),
    ],
)
def test_a_planted_short_is_refused(net, layer, points, message, lef):
    layout = with_wire(parse(DEF), net, layer, *points)
    if message is None:
        check(layout, lef)
    else:
        with pytest.raises(LayoutError, match=message):
            check(layout, lef)


def test_a_wire_on_an_unconnected_pin_is_refused(lef):
    text = DEF.replace("- y ( u2 Y ) ( PIN y )", "- y ( PIN y )")
    with pytest.raises(LayoutError, match="shorts: u2/Y touches y"):
        check_wires(parse(text), found := conductors(parse(text), lef), contacts(found, 100))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("- u1 INV", "- u1 FILL", "cells: missing INV .A a, Y n1."),
        ("( u1 Y ) ( u2 A )", "( u2 Y ) ( u1 A )", "cells: missing INV .A a, Y n1."),
        ("- f1 FILL + PLACED ( 200 0 )", "- f1 FILL + PLACED ( 190 0 )", "cells: u1 overlaps f1"),
        ("( PIN a )", "( PIN y )", "ports: missing a on a; not in the netlist: y on a"),
        ("- y ( u2 Y ) ( PIN y )", "- y ( u2 Y )", "ports: missing y on y"),
        ("- a + NET a", "- a + NET n1", "ports: missing a on a; not in the netlist: a on n1"),
        ("- f1 FILL", "- f2 INV + PLACED ( 600 0 ) N ;\n- f1 FILL", "cells: not in the netlist: INV"),
    ],
)
def test_another_netlist_is_refused(old, new, message, lef):
    assert old in DEF
    with pytest.raises(LayoutError, match=message):
        check(parse(DEF.replace(old, new)), lef)


def test_wires_are_those_of_the_metal(lef):
    layout = parse(DEF)
    found = conductors(layout, lef)
    driver = drivers(layout, {"INV": ("A",)}, {"a"})
    assert driver == {"a": ("PIN", "a"), "n1": ("u1", "Y"), "y": ("u2", "Y")}
    wires = extract(layout, lef, found, [*contacts(found, layout.scale)], driver)
    first, second, third = lef.layers
    assert wires["n1"].capacitance == pytest.approx(6.5 * second.capacitance + 4.2 * third.capacitance)
    assert resistance(wires["n1"], ("u2", "A")) == pytest.approx(
        6.5 * second.resistance + 4.2 * third.resistance + 4 * VIA_RESISTANCE
    )
    assert wires["a"].capacitance == pytest.approx(6.3 * second.capacitance + 0.3 * first.capacitance)
    text = spef("mac", wires, {"a"})
    assert re.search(r"\*D_NET n1 (\S+)", text)[1] == f"{wires['n1'].capacitance * 1e15:.5g}"
    for line in ("*P a I", "*P y O", "*I u1:Y O", "*I u2:A I"):
        assert f"\n{line}\n" in text
    total = sum(float(value) for value in re.findall(r"^\d+ \S+ (\S+)$", text, re.MULTILINE))
    assert total == pytest.approx(sum(net.capacitance for net in wires.values()) * 1e15, rel=1e-4)


def resistance(wires, pin):
    """Ohms from the driver to a pin, along the tree."""
    parents = {child: (parent, ohms) for parent, child, ohms in wires.resistors}
    node, total = wires.pins[pin], 0.0
    while node:
        node, ohms = parents[node]
        total += ohms
    return total


def test_a_loop_has_the_resistance_of_its_shorter_side_and_all_of_its_capacitance(lef):
    layout = parse(DEF)
    plain = layout.nets["n1"]
    around = [((140, 900), (140, 1000)), ((560, 900), (560, 1000))]
    layout = with_wire(with_wire(layout, "n1", "m2", *around[0]), "n1", "m2", *around[1])
    layout = with_wire(layout, "n1", "m3", (140, 1000), (560, 1000))
    layout = with_net(layout, "n1", vias=(*plain.vias, Via("v2", (140, 1000)), Via("v2", (560, 1000))))
    check(layout, lef)
    found = conductors(layout, lef)
    wires = extract(layout, lef, found, [*contacts(found, 100)], drivers(layout, {"INV": ("A",)}, {"a"}))["n1"]
    _, second, third = lef.layers
    assert wires.capacitance == pytest.approx(8.5 * second.capacitance + 8.4 * third.capacitance)
    shorter = 6.5 * second.resistance + 4.2 * third.resistance + 4 * VIA_RESISTANCE
    assert resistance(wires, ("u2", "A")) == pytest.approx(shorter)


def test_estimates_are_half_the_perimeter(lef):
    layout = parse(DEF)
    lengths = half_perimeters(layout, pin_places(layout, lef))
    assert lengths["n1"] == pytest.approx((5.6 - 1.3) + (5 - 4.5))  # from the middle of Y's two boxes
    wires = estimate(layout, lef, drivers(layout, {"INV": ("A",)}, {"a"}))
    farads, ohms = (
        np.mean([getattr(layer, what) for layer in lef.layers[1:4]]) for what in ("capacitance", "resistance")
    )
    assert wires["n1"].capacitance == pytest.approx(lengths["n1"] * farads)
    assert resistance(wires["n1"], ("u2", "A")) == pytest.approx(lengths["n1"] * ohms)


def test_the_placer_gets_the_grid_of_the_library(lef):
    lines = qflow.parameters(lef, 7).splitlines()
    for line in ("*random.seed : 7", "*gridX : 100", "*gridY : 100", "TWSC*feedThruWidth : 200 layer 1"):
        assert line in lines


def test_seeds_and_routing_are_part_of_what_a_layout_follows_from(lef):
    job = qflow.PlaceAndRoute(blif="", lef=lef, seed=1, route=False)
    others = [replace(job, seed=2), replace(job, route=True), replace(job, blif=".end")]
    assert len({job.digest, *(other.digest for other in others)}) == 4
    assert replace(job).digest == job.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("( 400 0 ) FN", "( 410 0 ) FN"),
        ("MICRONS 100", "MICRONS 50"),
        (DEF[300:], ""),
        (DEF[300:], "\0" * len(DEF[300:])),
        ("VERSION 5.6", "VERSION 5.6\xff"),
        ("", ""),
    ],
)
def test_a_damaged_layout_is_made_again(old, new, lef, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(run, "lay_out", lambda job: made.append(job) or DEF)
    job, path = qflow.PlaceAndRoute(blif="", lef=lef, seed=1, route=True), tmp_path / "one.def"
    text = run._kept(path, job)
    assert text.endswith("\n" + DEF)
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="latin-1")
    assert run._kept(path, job) == path.read_text() == text
    assert len(made) == (2 if new != old else 1)
    run._kept(path, replace(job, seed=2))
    assert made[-1].seed == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LEF.replace("END INV", "END INC"), "MACRO INV ends with END INC"),
        (LEF.replace("WIDTH 0.4", "WIDTH 0", 1), "layer m1 has no pitch or width"),
        (LEF[: len(LEF) // 2], "it ends too early|has no end|not enough"),
        (LEF.replace("TYPE ROUTING", "TYPE CUT", 1), "2 routing layers, and a layout needs three"),
        (LEF.replace("EDGECAPACITANCE 1e-04 ;", "").replace("CPERSQDIST 1e-05", "CPERSQDIST 0"), "no capacitance"),
        (cell("INV", 2, SIGNALS), "0 routing layers"),
        (LEF.replace(cell("FILL", 2, []), ""), "no cell without signals"),
    ],
)
def test_malformed_lef_is_refused(text, message, tmp_path):
    path = tmp_path / "odd.lef"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        Lef.load([path])
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("UNITS DISTANCE MICRONS 100 ;", "", "without units"),
        ("MICRONS 100", "MICRONS 0", "micrometres have 0 units"),
        ("( * 900 )", "( 150 900 )", "net n1: its wires are not read"),
        ("- u1 INV + PLACED ( 0 0 ) N", "- u1 INV", "component u1 is not placed"),
    ],
)
def test_malformed_def_is_refused(old, new, message):
    assert old in DEF
    with pytest.raises(ValueError, match=message):
        parse(DEF.replace(old, new))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["4/4/4/6", "--liberty", "nand2"], "a layout needs the library's LEF too"),
        (["4/4/4/6", "--liberty", "cells.lib"], "a layout needs the library's LEF too; give it by --lef"),
        (["4/4/4/6", "--lef", "cells.lef"], "a layout needs the cells' Liberty file too; give --liberty"),
        (["4/4/4/6", "--liberty", "no.lib", "--lef", "no.lef"], "LEF file no.lef: No such file"),
        (["4/4/4/6@"], "layouts are of vector MACs"),
        (["4/4/4/6", "--seeds", "0"], "'0' is not a whole number from 1"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["layout", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not [*tmp_path.iterdir()]


def test_lef_of_another_process_is_refused(lef):
    sizes = {"INV": Decimal(20), "FILL": Decimal(20)}
    for shown, scale in (("", "1.04"), ("0.909", "1.1"), ("9", "0.111111"), ("4", "0.25")):
        areas = {cell: area * Decimal(scale) for cell, area in sizes.items()}
        if shown:
            with pytest.raises(InputError, match=f"cells have {shown} times the areas .* both files of one process$"):
                check_process(lef, areas)
        else:
            check_process(lef, areas)


def test_areas_of_a_library_are_those_of_its_lef(osu018):
    for path in sorted(OSU018.parent.glob("osu*/*_stdcells.lef")):  # those of 350 and 500 nm, where they are installed
        (liberty,) = path.parent.glob("*.lib")
        found, library = Lef.load([path]), Library.load(liberty)
        check_process(found, {name: cell.area for name, cell in library.cells.items() if name in found.macros})


def test_a_constant_pin_is_refused_before_layout():
    config = MacConfig.parse("e4m3/2/-/e8m0:V=2,window=24,finite=0")
    gates = Gates(
        gates=[Gate(cell="HAX1", component="dot", pins={"A": 2, "B": ONE})],
        **{name: {} for name in ("inputs", "outputs", "names")},
        memories=[],
        nets=3,
    )
    with pytest.raises(InputError) as error:
        check_gates(gates, config.full_name)
    message = str(error.value)
    assert message.startswith(f"{config.full_name}: pin B of a cell HAX1 in dot is tied to a constant")
    assert message.endswith("leave this configuration out")


def test_tools_are_part_of_what_a_measure_follows_from(monkeypatch):
    monkeypatch.setattr(LayoutMeasure, "__post_init__", lambda self: None)
    monkeypatch.setattr(LayoutMeasure, "inputs", lambda self: {})
    keys = set()
    for version in ("1.4.71.T", "1.4.72.T"):
        monkeypatch.setattr("vsq.explore.measures.layout.versions", lambda version=version: {"qrouter": version})
        keys.add(Task("4/4/4/6", LayoutMeasure(liberty="cells.lib", lef="cells.lef")).key)
    assert len(keys) == 2


def test_missing_tools_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(InputError, match="tcsh, graywolf, qrouter not found; install them: apt-get install qflow"):
        qflow.find_tools()
    monkeypatch.undo()
    monkeypatch.setattr(qflow, "_FOLDERS", (tmp_path,))
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    with pytest.raises(InputError, match="layout: qflow not found"):
        qflow.find_tools()
