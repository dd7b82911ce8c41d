"""Carry chains of ECP5's cells CCU2C, which form products of two bits inside."""

from collections.abc import Sequence
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Instance, Module, Signal, Value

from vsq.hw.arithmetic.chains import CarryChain, ChainHeap, value_of
from vsq.hw.arithmetic.compressor import Bit, Wire

CELL = "CCU2C"
CHAIN = "ccu2c_chain"  # module of chains, before emission names it

_VERILOG = """
// A row of positions, two in each cell CCU2C, each of which adds two terms and the carry of the one before it.
// One term is a & b, or its complement where INVERT_X is 1; the other one c & d, or d & ~c where INVERT_Y is 1.
// Where LINK is 1, d being 1, s is the carry from below, and the first term is the carry from here on.
module {chain} #(
  parameter N = 2, // even
  parameter [N-1:0] INVERT_X = 0,
  parameter [N-1:0] INVERT_Y = 0,
  parameter [N-1:0] LINK = 0
) (
  input  wire [N-1:0] a,
  input  wire [N-1:0] b,
  input  wire [N-1:0] c,
  input  wire [N-1:0] d,
  output wire [N-1:0] s
);
  genvar i;
  generate
    for (i = 0; i < N; i = i + 2) begin : pair
      localparam [3:0] X0 = INVERT_X[i] ? 4'h7 : 4'h8;
      localparam [3:0] X1 = INVERT_X[i+1] ? 4'h7 : 4'h8;
      localparam [15:0] T0 =
          LINK[i] ? {{12'd0, X0}} : INVERT_Y[i] ? {{X0, ~X0, X0, X0}} : {{~X0, X0, X0, X0}};
      localparam [15:0] T1 =
          LINK[i+1] ? {{12'd0, X1}} : INVERT_Y[i+1] ? {{X1, ~X1, X1, X1}} : {{~X1, X1, X1, X1}};
      wire below, above;
      if (i == 0) begin : lowest
        assign below = 1'b0;
      end else begin : higher
        assign below = pair[i-2].above;
      end
`ifdef SYNTHESIS
      CCU2C #(.INIT0(T0), .INIT1(T1), .INJECT1_0("NO"), .INJECT1_1("NO")) cell_i (
`else
      {chain}_cell #(.INIT0(T0), .INIT1(T1)) cell_i (
`endif
        .CIN(below), .COUT(above),
        .A0(a[i]), .B0(b[i]), .C0(c[i]), .D0(d[i]), .S0(s[i]),
        .A1(a[i+1]), .B1(b[i+1]), .C1(c[i+1]), .D1(d[i+1]), .S1(s[i+1])
      );
    end
  endgenerate
endmodule

`ifndef SYNTHESIS
// For simulation: CCU2C of ECP5 without injected carries. A table of four inputs propagates the carry, and gives the
// sum with it; the table's part for C = D = 0 is the carry where none is propagated.
module {chain}_cell #(
  parameter [15:0] INIT0 = 0,
  parameter [15:0] INIT1 = 0
) (
  input  wire CIN,
  input  wire A0, B0, C0, D0,
  input  wire A1, B1, C1, D1,
  output wire S0, S1, COUT
);
  wire p0 = INIT0[{{D0, C0, B0, A0}}];
  wire p1 = INIT1[{{D1, C1, B1, A1}}];
  wire carry = p0 ? CIN : INIT0[{{2'b00, B0, A0}}];
  assign S0 = p0 ^ CIN;
  assign S1 = p1 ^ carry;
  assign COUT = p1 ? carry : INIT1[{{2'b00, B1, A1}}];
endmodule
`endif
"""


class CellHeap(ChainHeap):
    """A heap of carry chains whose positions take products: a bit of two wires is their product.

    A position is a table of four inputs, of which the carry sees the two first alone, so one of the two terms may be a
    complemented product. A chain whose lowest column has only such ones runs on complements.

    All chains of a level stand in one row. A position between two of them brings out the carry of the lower one, and
    brings in the carry of the upper one.

    Source: Lattice, ECP5 and ECP5-5G Family Data Sheet, FPGA-DS-02012, 2.2 (slices).
    """

    def _emit_chains(self, m: Module, chains: Sequence[CarryChain]) -> None:
        """Describe the row of a level's chains."""
        row: list[_Position] = []
        carry: list[Wire] = []  # of the chain before, if it has one
        for chain in chains:
            if row or chain.carry or chain.inverted:
                row.append(_linking(chain.carry, chain.inverted, carry))
            pairs = zip(chain.x, chain.y, chain.total, strict=False)
            row += [_adding(x, y, chain.inverted, wire) for x, y, wire in pairs]
            carry = chain.total[len(chain.x) :]
        if carry:
            row.append(_linking(0, False, carry))
        name = f"{self.name}_row{self.chains}"
        self.chains += len(chains)
        self.positions += len(row)
        row += [_adding(0, 0, False, Wire(0))] * (len(row) % 2)
        total = Signal(len(row), name=name)
        for position, value in zip(row, total, strict=True):
            for wire in position.wires:
                wire.value = value
        masks = {
            "p_INVERT_X": (position.invert_x for position in row),
            "p_INVERT_Y": (position.invert_y for position in row),
            "p_LINK": (position.link for position in row),
        }
        parameters = {
            mask: Const(sum(bit << i for i, bit in enumerate(bits)), len(row)) for mask, bits in masks.items()
        }
        pins = {f"i_{pin}": Cat(values) for pin, *values in zip("abcd", *(each.pins for each in row), strict=True)}
        m.submodules[f"{name}_cells"] = Instance(CHAIN, p_N=len(row), **parameters, **pins, o_s=total)


class _Position(NamedTuple):
    """A position of a row: its four inputs and parameters, and the wires that its sum drives, at most one."""

    pins: tuple[Value, Value, Value, Value]
    invert_x: bool
    invert_y: bool
    link: bool
    wires: Sequence[Wire]


_ZERO, _ONE = Const(0, 1), Const(1, 1)


def _adding(x: Bit | int, y: Bit | int, inverted: bool, total: Wire) -> _Position:
    """Return a position that adds two terms, or their complements."""
    (a, b), invert_x = _term(x, inverted)
    (c, d), invert_y = _term(y, inverted)
    if isinstance(y, int):
        c = d = Const(y ^ inverted, 1)
        invert_y = False
    elif y.is_product and invert_y:  # a table makes it
        c, d, invert_y = value_of(y), _ONE, inverted
    return _Position((a, b, c, d), invert_x, invert_y, False, [total])


def _linking(carry: Bit | int, inverted: bool, below: Sequence[Wire]) -> _Position:
    """Return a position between chains: that of the upper one's carry, which gives the carry of the lower one."""
    (a, b), invert = _term(carry, inverted)
    return _Position((a, b, _ZERO, _ONE), invert, False, True, below)


def _term(bit: Bit | int, inverted: bool) -> tuple[tuple[Value, Value], bool]:
    """Return two values whose product is the bit, or its complement, and whether it is to be inverted."""
    if isinstance(bit, int):
        return (_ONE, _ONE), bit == inverted
    value = bit.wire.value
    return (value[0], value[1] if len(value) > 1 else _ONE), bit.inverted != inverted


def chain_verilog(name: str) -> str:
    """Return the Verilog of the module of chains under a name, and of its cell for simulation."""
    return _VERILOG.format(chain=name)
