"""Wrapper of a vector MAC as a custom function unit of a RISC-V processor, and its bench.

Source: CFU-Playground, "The CPU <-> CFU Interface".
"""

from collections.abc import Sequence
from textwrap import wrap

from vsq.golden.contract.errors import InputError
from vsq.hw.emit.companions.words import Manifest, Member, words

_PART = 64  # bits of a vector that a command brings
_MOST_PARTS = 127  # a function ID has 7 bits for their number
_WORD = 32  # bits of a response

_WRAPPER = """// Custom function unit of {name}: {title}
// The interface is CFU-Playground's. A command with function_id = {{part[6:0], last, first, send}}:
//   000           loads: 64 bits {{inputs_1, inputs_0}} become a part of the vector, which keeps its other parts
//   send = 1      loads, and then sends the vector with these marks; one with last = 1 responds when its result is
//                 there, with the accumulator's lowest 32 bits
//   100           reads: responds with 32 bits, a part of the latest result
{layout}
// Other responses are 0. A response follows its command after 1 cycle, one that sends after 2 cycles or more.
/* verilator lint_off DECLFILENAME */ // processors instantiate it by this name
/* verilator lint_off UNUSEDSIGNAL */ // the last part of a vector need not be full
module Cfu(
  input  wire        cmd_valid,
  output wire        cmd_ready,
  input  wire [9:0]  cmd_payload_function_id,
  input  wire [31:0] cmd_payload_inputs_0,
  input  wire [31:0] cmd_payload_inputs_1,
  output reg         rsp_valid,
  input  wire        rsp_ready,
  output reg  [31:0] rsp_payload_outputs_0,
  input  wire        reset,
  input  wire        clk
);
  reg [{vector}:0] vector;
  reg [{result}:0] result;
  reg sends, waits, first, last;
  wire taken, valid;
  wire [{given}:0] given;

  wire [6:0] part = cmd_payload_function_id[9:3];
  wire reads = cmd_payload_function_id[2] & ~cmd_payload_function_id[0];
  assign cmd_ready = ~(sends | waits | rsp_valid);

  initial begin
    sends = 0;
    waits = 0;
    rsp_valid = 0;
  end
  always @(posedge clk) begin
    if (cmd_valid & cmd_ready) begin
      sends <= cmd_payload_function_id[0];
      rsp_valid <= ~cmd_payload_function_id[0];
      rsp_payload_outputs_0 <= 0;
      {{last, first}} <= cmd_payload_function_id[2:1];
      if (reads) begin
        if (part < {results}) rsp_payload_outputs_0 <= result{result_part};
      end else if (part < {parts})
        vector{vector_part} <= {{cmd_payload_inputs_1, cmd_payload_inputs_0}};
    end
    if (sends & taken) begin
      sends <= 0;
      waits <= last;
      rsp_valid <= ~last;
    end
    if (waits & valid) begin
      waits <= 0;
      result <= {extended};
      rsp_valid <= 1;
      rsp_payload_outputs_0 <= {acc};
    end
    if (rsp_valid & rsp_ready)
      rsp_valid <= 0;
    if (reset) begin
      sends <= 0;
      waits <= 0;
      rsp_valid <= 0;
    end
  end

  {name} mac(
    {connections}
  );
endmodule
"""
_BENCH = """// Bench of the custom function unit of {name}: the test vectors, with pauses drawn at random.
module {name}_cfu_tb;
  reg clk = 0, reset = 1, cmd_valid = 0, rsp_ready = 0;
  reg [9:0] id;
  reg [63:0] operands;
  reg [{word}:0] word;
  reg [{result}:0] expected, got;
  reg [31:0] response;
  wire cmd_ready, rsp_valid;
  wire [31:0] outputs;
  integer stimulus, results, code, part, waited = 0, checked = 0, seed = 1;

  Cfu cfu(.clk(clk), .reset(reset), .cmd_valid(cmd_valid), .cmd_ready(cmd_ready), .cmd_payload_function_id(id),
    .cmd_payload_inputs_0(operands[31:0]), .cmd_payload_inputs_1(operands[63:32]),
    .rsp_valid(rsp_valid), .rsp_ready(rsp_ready), .rsp_payload_outputs_0(outputs));
  always #5 clk = ~clk;

  task fail;
    begin
      $display("FAIL: result %0d: got %h, expected %h", checked, got, expected);
      $finish;
    end
  endtask

  task pause;
    repeat ($unsigned($random(seed)) % 3) @(negedge clk);
  endtask

  task call(input [6:0] index, input [2:0] marks, input [63:0] values);
    begin
      pause;
      id = {{index, marks}};
      operands = values;
      cmd_valid = 1;
      while (!cmd_ready) @(negedge clk);
      @(negedge clk) cmd_valid = 0;
      operands = ~values; // a command is over once it is taken
      pause;
      while (!rsp_valid) @(negedge clk);
      pause;
      response = outputs;
      rsp_ready = 1;
      @(negedge clk) rsp_ready = 0;
      waited = 0;
    end
  endtask

  always @(posedge clk) begin
    waited = waited + 1;
    if (waited > 1000) begin
      $display("FAIL: no response");
      $finish;
    end
  end

  initial begin
    stimulus = $fopen("{name}_stimulus.memh", "r");
    results = $fopen("{name}_expected.memh", "r");
    repeat (2) @(negedge clk);
    reset = 0;
    while ($fscanf(stimulus, "%h", word) == 1) begin
      for (part = 0; part < {last_part}; part = part + 1)
        call(part[6:0], 0, word[64*part +: 64]);
      call({last_part}, {{word[{last}], word[{first}], 1'b1}}, word[{payload}:{low}]);
      if (word[{last}]) begin
        code = $fscanf(results, "%h", expected);
        got = response;
        if (response !== {acc}) fail;
        for (part = 0; part < {results}; part = part + 1) begin
          call(part[6:0], 4, 0);
          got[32*part +: 32] = response;
        end
        if (code != 1 || got !== expected) fail;
        checked = checked + 1;
      end
    end
    if (checked == 0 || $fscanf(results, "%h", expected) == 1)
      $display("FAIL: %0d results", checked);
    else
      $display("PASS: %0d results", checked);
    $finish;
  end
endmodule
"""


def cfu(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>_cfu.v``, the module ``Cfu`` around a vector MAC, and ``<name>_cfu_tb.v`` if a bench is there.

    Raises:
        InputError: If the design is no vector MAC with plain ports, has the unit's name, or has vectors too wide for a
            function ID.
    """
    name = manifest["name"]
    if [stream["name"] for stream in manifest["streams"]] != ["in", "out"]:
        raise InputError("companion 'cfu': it is for vector MACs with plain ports; take it out of --with")
    if name == "Cfu":
        raise InputError("name 'Cfu': the custom function unit is called so; choose another name")
    taken, given = words(manifest)
    fields = [member for member in taken.members if member.name not in ("first", "last")]
    bits, acc = fields[-1].end, manifest["widths"]["acc"]
    parts, results = -(-bits // _PART), -(-given.bits // _WORD)
    if parts > _MOST_PARTS:
        raise InputError(f"companion 'cfu': a vector of {bits} bits has {parts} parts of 64; at most {_MOST_PARTS} fit")
    numbers = {"parts": parts, "results": results, "result": _WORD * results - 1, "name": name}
    wrapper = _WRAPPER.format(
        **numbers | {"parts": f"7'd{parts}", "results": f"7'd{results}"},
        title=manifest["title"],
        layout="\n".join([*_layout("vector", fields), *_layout("result", given.members)]),
        vector=_PART * parts - 1,
        given=given.bits - 1,
        vector_part=_selected(parts, _PART),
        result_part=_selected(results, _WORD),
        extended=f"{{{_WORD * results - given.bits}'d0, given}}" if given.bits % _WORD else "given",
        acc=_low("given", acc),
        connections=",\n    ".join(_connections(manifest)),
    )
    if f"{name}_stimulus.memh" not in bench:
        return {f"{name}_cfu.v": wrapper}
    text = _BENCH.format(
        **numbers,
        word=bits + 1,
        last_part=parts - 1,
        first=bits,
        last=bits + 1,
        payload=bits - 1,
        low=_PART * (parts - 1),
        acc=_low("expected", acc),
    )
    return {f"{name}_cfu.v": wrapper, f"{name}_cfu_tb.v": text}


def _layout(name: str, members: Sequence[Member]) -> list[str]:
    listed = (f"{m.name} {m.bit}" + f" + {m.width} * i, i < {m.count}" * (m.count > 1) for m in members)
    return [f"// {line}" for line in wrap(f"Lowest bits of the {name}'s fields: {'; '.join(listed)}.", 110)]


def _selected(parts: int, width: int) -> str:
    """Return the selection of the part ``part`` of a register of whole parts."""
    bits = (parts - 1).bit_length()
    return f"[{{part[{bits - 1}:0], {width.bit_length() - 1}'d0}} +: {width}]" if bits else ""


def _low(word: str, width: int) -> str:
    """Return the lowest 32 bits of the accumulator, which is the lowest field of a word of results."""
    if width >= _WORD:
        return f"{word}[{_WORD - 1}:0]"
    return f"{{{{{_WORD - width}{{{word}[{width - 1}]}}}}, {word}[{width - 1}:0]}}"


def _connections(manifest: Manifest) -> list[str]:
    """Return the connections of all ports of the design."""
    taken, given = words(manifest)
    clock, reset = manifest["clock"], manifest["reset"]
    pins = {clock["port"]: "clk", "in_valid": "sends", "in_ready": "taken", "out_valid": "valid", "out_ready": "waits"}
    if "enable" in clock:
        pins[clock["enable"]] = "1'b1"
    if "port" in reset:
        pins[reset["port"]] = "~reset" if reset["active"] == "low" else "reset"
    for word, source in ((taken, "vector"), (given, "given")):
        low = 0
        for port in word.ports:
            bits = f"{low + port['width'] - 1}:{low}" if port["width"] > 1 else f"{low}"
            pins[port["name"]] = f"{source}[{bits}]"
            low += port["width"]
    pins |= {"in_first": "first", "in_last": "last"}
    return [f".{port}({value})" for port, value in pins.items()]
