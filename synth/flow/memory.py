"""Memories in synthesis: a library of cells has none, so each is a black box, counted by its shape.

Whoever builds the design chooses what a memory becomes: an SRAM macro, latches or flip-flops.
"""

import re
from collections import Counter

from vsq.hw.pe.memory import MemoryShape

MEMORY = "vsq_memory"  # the black box's module

_PORTS = f"""
module {MEMORY} #(parameter WIDTH = 1, DEPTH = 1, ADDRESS_WIDTH = 1, REGISTERED = 0) (
  input clk,
  input write, input [ADDRESS_WIDTH-1:0] write_address, input [WIDTH-1:0] write_data,
  input read, input [ADDRESS_WIDTH-1:0] read_address, output [WIDTH-1:0] read_data);
"""
# What a netlist's memories do in simulation: one port writes whole words, one reads, with or without a register.
MODEL = f"""{_PORTS}
  reg [WIDTH-1:0] words [0:DEPTH-1];
  reg [WIDTH-1:0] held;
  always @(posedge clk) begin
    if (read) held <= words[read_address];
    if (write) words[write_address] <= write_data;
  end
  assign read_data = REGISTERED ? held : words[read_address];
endmodule
"""
FILES = {
    "memory_box.v": f"(* blackbox *){_PORTS}endmodule\n",
    "memory_map.v": f"""
(* techmap_celltype = "$mem_v2" *)
module to_{MEMORY} (RD_CLK, RD_EN, RD_ARST, RD_SRST, RD_ADDR, RD_DATA, WR_CLK, WR_EN, WR_ADDR, WR_DATA);
  parameter MEMID = "", SIZE = 1, OFFSET = 0, ABITS = 1, WIDTH = 1, INIT = 0;
  parameter RD_PORTS = 1, RD_CLK_ENABLE = 0, RD_CLK_POLARITY = 0, RD_TRANSPARENCY_MASK = 0, RD_COLLISION_X_MASK = 0;
  parameter RD_WIDE_CONTINUATION = 0, RD_CE_OVER_SRST = 0, RD_ARST_VALUE = 0, RD_SRST_VALUE = 0, RD_INIT_VALUE = 0;
  parameter WR_PORTS = 1, WR_CLK_ENABLE = 0, WR_CLK_POLARITY = 0, WR_PRIORITY_MASK = 0, WR_WIDE_CONTINUATION = 0;
  input RD_CLK, RD_EN, RD_ARST, RD_SRST, WR_CLK;
  input [ABITS-1:0] RD_ADDR, WR_ADDR;
  input [WIDTH-1:0] WR_EN, WR_DATA;
  output [WIDTH-1:0] RD_DATA;
  wire _TECHMAP_FAIL_ = RD_PORTS != 1 || WR_PORTS != 1;
  {MEMORY} #(.WIDTH(WIDTH), .DEPTH(SIZE), .ADDRESS_WIDTH(ABITS), .REGISTERED(RD_CLK_ENABLE)) _TECHMAP_REPLACE_ (
    .clk(WR_CLK), .write(WR_EN[0]), .write_address(WR_ADDR), .write_data(WR_DATA),
    .read(RD_EN), .read_address(RD_ADDR), .read_data(RD_DATA));
endmodule
""",
}
# Before `synth`, which would build memories from flip-flops.
COMMANDS = ("read_verilog -lib memory_box.v", "memory_collect", "techmap -map memory_map.v")

_MODULE = re.compile(r"^module \\?(\S+?) ?\((.*?)^endmodule", re.MULTILINE | re.DOTALL)
_INSTANCE = re.compile(rf"^(  {MEMORY}) #\((.*?)^  \)", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"\.(DEPTH|WIDTH|REGISTERED)\((?:32'd|1'h)(\d+)\)")


def memory_kinds(verilog: str) -> dict[str, Counter[str]]:
    """Return how many memories of each kind stand in each module of a mapped netlist that has any."""
    kinds: dict[str, Counter[str]] = {}
    for name, body in _MODULE.findall(verilog):
        for _, text in _INSTANCE.findall(body):
            values = {parameter: int(value) for parameter, value in _PARAMETER.findall(text)}
            shape = MemoryShape(values["WIDTH"], values["DEPTH"], bool(values["REGISTERED"]))
            kinds.setdefault(name, Counter())[shape.kind] += 1
    return kinds


def without_parameters(verilog: str) -> str:
    """Return a mapped netlist whose memories have no parameters, for readers that know none."""
    return _INSTANCE.sub(r"\1", verilog)
