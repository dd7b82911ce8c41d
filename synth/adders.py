"""Full- and half-adder cells: found in the netlist by function, mapped to whatever the library calls them.

ABC never maps to cells with two outputs. Yosys's ``extract_fa`` therefore finds the adders before ABC runs, as
``$fa`` cells (sum Y, carry X), and a map written here turns these into the library's cells.
"""

from synth.liberty import AND2, XOR2, Adder, Library

MAP_FILE = "adders.v"

# Yosys's own map (_90_lcu_brent_kung; the first by name wins) makes every carry chain a parallel-prefix tree, but a
# chain of full adders is the smallest adder.
RIPPLE_CARRY = """
(* techmap_celltype = "$lcu" *)
module _80_ripple_carry (P, G, CI, CO);
  parameter WIDTH = 2;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry = {CO, CI};
  assign CO = G | (P & carry[WIDTH-1:0]);
endmodule
"""

# `-d` and `-b` bound the depth and the inputs of the cones searched; wider ones only cost time.
_EXTRACT = "extract_fa -d 6 -b 4"

_MODULE = """
(* techmap_celltype = "$fa" *)
module {name} (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  input A, B, C;
  output X, Y;
  wire _TECHMAP_FAIL_ = {fail};
  {cell} adder ({pins});
endmodule
"""


def adder_commands(library: Library) -> list[str]:
    """Return the Yosys commands that extract adders and map them to the library's cells; none if it has none."""
    kinds = (" -fa" if library.full_adder else "") + (" -ha" if _half_adder(library) else "")
    if not kinds:
        return []
    return [_EXTRACT + kinds, "opt_clean", f"techmap -map {MAP_FILE}", "techmap", "opt -fast"]


def adder_map(library: Library) -> str:
    """Return the techmap file from ``$fa`` (a half adder has the constant 0 as C) to the library's adder cells."""
    text = ""
    if adder := _half_adder(library):
        text += _module("half_adder", adder, "_TECHMAP_CONSTMSK_C_ == 0", "AB")
    if adder := library.full_adder:
        text += _module("full_adder", adder, "_TECHMAP_CONSTMSK_C_ != 0", "ABC")
    return text


def _half_adder(library: Library) -> Adder | None:
    """Return the half-adder cell if it is smaller than an AND and an XOR, which ABC can merge with other logic."""
    adder = library.half_adder
    gates = [library.smallest(2, table) for table in (AND2, XOR2)]
    if adder and all(gates) and adder.cell.area >= sum(gate.area for gate in gates if gate):
        return None
    return adder


def _module(name: str, adder: Adder, fail: str, ports: str) -> str:
    pins = [*zip(adder.cell.inputs, ports, strict=True), (adder.carry, "X"), (adder.sum, "Y")]
    return _MODULE.format(
        name=name, cell=f"\\{adder.cell.name} ", fail=fail, pins=", ".join(f".\\{pin} ({port})" for pin, port in pins)
    )
