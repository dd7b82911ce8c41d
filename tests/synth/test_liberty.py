import itertools
import re
from dataclasses import asdict
from decimal import Decimal

import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.errors import InputError
from vsq.synth.library.liberty import AND2, BUILT_IN, MAJORITY, PARITY, XOR2, Library

# The default library's cells by name: the function, over the inputs in the order of the pins.
FUNCTIONS = {
    "INV": lambda a: not a,
    "BUF": lambda a: a,
    "NAND": lambda *x: not all(x),
    "NOR": lambda *x: not any(x),
    "AND": lambda *x: all(x),
    "OR": lambda *x: any(x),
    "XOR": lambda *x: sum(x) % 2,
    "XNOR": lambda *x: not sum(x) % 2,
    "AOI21": lambda a, b, c: not ((a and b) or c),
    "AOI22": lambda a, b, c, d: not ((a and b) or (c and d)),
    "AOI211": lambda a, b, c, d: not ((a and b) or c or d),
    "AOI222": lambda a, b, c, d, e, f: not ((a and b) or (c and d) or (e and f)),
    "OAI21": lambda a, b, c: not ((a or b) and c),
    "OAI22": lambda a, b, c, d: not ((a or b) and (c or d)),
    "OAI211": lambda a, b, c, d: not ((a or b) and c and d),
    "MUX2": lambda a, b, s: b if s else a,
}
MINIMAL = """
library (tiny) {
  cell (INV) { area : 1; pin (A) { direction : input; } pin (Y) { direction : output; function : "!A"; } }
  cell (NOR) { area : 2; pin (A, B) { direction : input; } pin (Y) { direction : output; function : "(A+B)'"; } }
  cell (BUF) { area : 2; pin (A) { direction : input; } pin (Y) { direction : output; function : "A"; } }
  cell (FF) {
    area : 7;
    ff (Q0, Q1) { next_state : "D"; clocked_on : "C"; }
    pin (C) { direction : input; }
    pin (D) { direction : input; }
    pin (Q) { direction : output; function : "Q0"; }
  }
}
"""


def load(tmp_path, text):
    path = tmp_path / "cells.lib"
    path.write_text(text)
    return Library.load(path)


def values(cell, pin):
    """The cell's output for every combination of its inputs, first input fastest."""
    for code, bits in enumerate(itertools.product((0, 1), repeat=len(cell.inputs))):
        inputs = bits[::-1]
        yield inputs, cell.functions[pin] >> code & 1


def test_default_library_cells_do_what_their_names_say():
    checked = 0
    for cell in Library.load().cells.values():
        function = FUNCTIONS.get(cell.name) or FUNCTIONS.get(cell.name.rstrip("234"))
        if function:
            assert list(cell.functions) == ["Y"]
            assert all(bool(function(*inputs)) == bool(out) for inputs, out in values(cell, "Y")), cell.name
            checked += 1
    assert checked == len(Library.load().cells) - len(["HA", "FA", "DFF", "DFFR", "DFFS", "CLKGATE"])


def test_default_library_adders_add():
    library = Library.load()
    for adder, inputs, carry, total in ((library.full_adder, 3, MAJORITY, PARITY), (library.half_adder, 2, AND2, XOR2)):
        assert len(adder.inputs) == inputs
        pins = {table: pin for pin, table in adder.functions.items()}
        sums = dict(values(adder, pins[total]))
        carries = dict(values(adder, pins[carry]))
        assert all(2 * carries[bits] + sums[bits] == sum(bits) for bits in sums)


def test_default_library_is_in_nand2_equivalents():
    library = Library.load()
    assert library.unit == "NAND2"
    assert library.cells["NAND2"].area == 1
    # Its source's areas are multiples of a site of a third of a NAND2.
    assert all(abs(cell.area * 3 - round(cell.area * 3)) <= Decimal("0.0003") for cell in library.cells.values())


def test_default_library_has_flip_flops_with_and_without_reset():
    cells = Library.load().cells
    assert {name for name, cell in cells.items() if cell.flip_flop} == {"DFF", "DFFR", "DFFS"}


def test_gates_count_one_each():
    library = Library.load("gates")
    assert {cell.area for cell in library.cells.values()} == {1}
    assert library.unit == "cells"
    tables = [(len(c.inputs), *c.functions.values()) for c in library.cells.values() if not c.sequential]
    assert len(set(tables)) == len(tables) == 9


def test_a_minimal_library_is_enough(tmp_path):
    library = load(tmp_path, MINIMAL)
    assert library.name == "tiny"
    assert library.cells["NOR"].inputs == ("A", "B")
    assert library.full_adder is None
    assert library.half_adder is None
    assert library.unit == "library unit"


def test_adders_are_found_by_function_and_the_smallest_wins(tmp_path):
    cell = """
      cell (%s) { area : %s; pin (X, Z, W) { direction : input; }
        pin (O1) { direction : output; function : "%s"; }
        pin (O2) { direction : output; function : "X ^ W ^ Z"; } }"""
    majority = "X Z + W (X | Z)"
    cells = cell % ("big", 30, majority) + cell % ("small", 20, majority) + cell % ("other", 10, "X Z W")
    adder = load(tmp_path, MINIMAL.rstrip().removesuffix("}") + cells + "}").full_adder
    assert (adder.name, adder.functions) == ("small", {"O1": MAJORITY, "O2": PARITY})


def test_cells_not_to_use_are_not_used(tmp_path):
    text = MINIMAL.replace("cell (NOR) {", "cell (NOR) { dont_use : true;")
    with pytest.raises(InputError, match="none of its 3 usable cells is a two-input NAND, NOR, AND or OR"):
        load(tmp_path, text)


def test_cells_are_set_aside_by_patterns_and_by_library(tmp_path):
    """Yosys, ABC and OpenSTA read ``dont_use`` in the text; the usual patterns of a library need not be given."""
    cells = "".join(
        f'cell ("{name}") {{ area : 1; pin (A) {{ direction : input; }} pin (Y) {{ direction : output; '
        'function : "A"; } }'
        for name in ("sky130_fd_sc_hd__lpflow_isobufsrc_1", "sky130_fd_sc_hd__probe_p_8", "sky130_fd_sc_hd__buf_1")
    )
    text = MINIMAL.replace("tiny", "sky130_fd_sc_hd__tt_025C_1v80").rstrip().removesuffix("}") + cells + "}"
    library = load(tmp_path, text)
    assert library.dont_use == {"sky130_fd_sc_*__lpflow_*": 1, "sky130_fd_sc_*__probe*": 1}
    assert [name for name in library.cells if "sky130" in name] == ["sky130_fd_sc_hd__buf_1"]
    assert library.text.count("dont_use : true;") == 2
    assert "cells not used: sky130_fd_sc_*__lpflow_* (1), sky130_fd_sc_*__probe* (1)" in library.notes[0]
    path = tmp_path / "cells.lib"
    fewer = Library.load(path, ["*_buf_?"])
    assert fewer.cells.keys() == {"INV", "NOR", "BUF", "FF"}
    assert fewer.digest != library.digest
    with pytest.raises(InputError, match=r"dont-use 'buf\*': no cell of Liberty file .* matches it; write"):
        Library.load(path, ["buf*"])


def test_the_clock_gate_is_the_smallest_without_pins_for_tests(tmp_path):
    cell = """
      cell (%s) { area : %d; clock_gating_integrated_cell : %s;
        pin (K) { direction : input; clock_gate_clock_pin : true; }
        pin (E) { direction : input; clock_gate_enable_pin : true; } %s
        pin (G) { direction : output; clock_gate_out_pin : true; } }"""
    test = "pin (T) { direction : input; clock_gate_test_pin : true; }"
    cells = [
        ("low", 1, "latch_negedge", ""),
        ("tested", 2, "latch_posedge_precontrol", test),
        ("large", 9, "latch_posedge", ""),
        ("small", 8, '"latch_posedge"', ""),
    ]
    text = MINIMAL.rstrip().removesuffix("}")
    for number, expected in ((1, None), (2, "tested"), (4, "small")):
        gate = load(tmp_path, text + "".join(cell % one for one in cells[:number]) + "}").clock_gate
        assert (gate and gate.name) == expected
    assert Library.load().clock_gate.name == "CLKGATE"
    assert Library.load("gates").clock_gate is None


def test_spelling_variants_are_read(tmp_path):
    variant = MINIMAL.replace("area : 1;", "area:1 /* no\nsemicolon */\n").replace("(INV)", '("INV")')
    table = 'values ( \\\n "0.1, 0.2", \\\n "0.3, 0.4" );'
    variant = variant.replace("cell (NOR) {", "cell (NOR) { leakage_power () {" + table + "}")
    cells, plain = (load(tmp_path, spelling).cells.values() for spelling in (variant, MINIMAL))
    assert [asdict(cell) for cell in cells] == [asdict(cell) for cell in plain]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: "", "it holds 0 library groups"),
        (lambda text: "module top; endmodule", "line 1 is no Liberty statement"),
        (lambda text: text[: text.index("ff (")], r"it ends inside the group cell \(FF\)"),
        (lambda text: text + "}", "closes a group never opened"),
        (lambda text: text.replace("area : 2;", ""), "cell NOR has no area"),
        (lambda text: text.replace("area : 2;", "area : large;"), "'large' is not a number"),
        (lambda text: text.replace("(A+B)'", "(A+B"), "cell NOR: function .* parenthesis is not closed"),
        (lambda text: re.sub(r"ff \(.*\n", "", text), "none of its 4 usable cells is a flip-flop"),
        (lambda text: text.replace('"!A"', '"A"'), "is an inverter"),
        (lambda text: text.replace('"A"', '"!A"'), "is a gate of a third function"),
    ],
)
def test_bad_libraries_are_refused_in_one_line(tmp_path, change, reason):
    with pytest.raises(InputError, match=reason) as error:
        load(tmp_path, change(MINIMAL))
    assert str(tmp_path / "cells.lib") in str(error.value)
    assert "\n" not in str(error.value)


def test_unreadable_files_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="No such file or directory; give a readable"):
        Library.load(tmp_path / "absent.lib")
    with pytest.raises(InputError, match="Is a directory"):
        Library.load(tmp_path)
    (tmp_path / "packed.lib").write_bytes(b"\x1f\x8b\x08\xff\xff")
    with pytest.raises(InputError, match="not a text file"):
        Library.load(tmp_path / "packed.lib")


def test_the_digest_names_the_version():
    digests = {Library.load(name).digest for name in BUILT_IN}
    assert len(digests) == len(BUILT_IN)
    assert Library.load().digest in digests


def of_osu(**areas):
    """The minimal library under OSU's name, with cells of these areas."""
    cell = """
      cell (%s) { area : %s; pin (A, B, C) { direction : input; }
        pin (Y) { direction : output; function : "!(A B C)"; } }"""
    cells = "".join(cell % pair for pair in areas.items())
    return MINIMAL.replace("tiny", "osu018_stdcells").rstrip().removesuffix("}") + cells + "}"


def test_known_wrong_areas_are_corrected_for_the_mapper_too(tmp_path):
    library = load(tmp_path, of_osu(OAI21X1="23", NAND3X1="36.0", AOI21X1="23"))
    assert {name: int(cell.area) for name, cell in library.cells.items() if name.endswith("X1")} == {
        "OAI21X1": 32,
        "NAND3X1": 32,
        "AOI21X1": 23,
    }
    assert re.findall(r"X1\) { area : (\w+);", library.text) == ["32", "32", "23"]
    assert library.corrections == ["NAND3X1 36 -> 32", "OAI21X1 23 -> 32"]
    assert "NAND3X1 36 -> 32, OAI21X1 23 -> 32" in library.notes[0]
    assert library.digest != load(tmp_path, of_osu(OAI21X1="32", NAND3X1="32", AOI21X1="24")).digest


def test_a_corrected_file_and_other_libraries_stay_as_they_are(tmp_path):
    for text in (of_osu(OAI21X1="32", NAND3X1="32"), of_osu(OAI21X1="23").replace("osu018", "osu050")):
        library = load(tmp_path, text)
        assert library.text == text
        assert not library.corrections
        assert not library.notes


def test_areas_of_osu_are_those_of_its_lef(osu018):
    lef = osu018.path.with_suffix(".lef").read_text()
    sizes = re.findall(r"^MACRO (\w+)\n.*?SIZE\s+(\S+)\s+BY\s+(\S+)", lef, re.DOTALL | re.MULTILINE)
    of_lef = {name: Decimal(width) * Decimal(height) for name, width, height in sizes}
    assert len(osu018.cells) > 30
    for name, cell in osu018.cells.items():
        assert cell.area == of_lef[name], name


def test_the_area_command_says_what_was_corrected(osu018, capsys):
    assert vsq.main(["area", "2/2/-/-:V=1", "--liberty", str(osu018.path)]) == 0
    note = "areas corrected to those of its LEF: LATCH 0 -> 56, NAND3X1 36 -> 32, OAI21X1 23 -> 32.\n"
    assert note in capsys.readouterr().out
    assert vsq.main(["area", "2/2/-/-:V=1"]) == 0
    assert "corrected" not in capsys.readouterr().out
