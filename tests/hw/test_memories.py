"""Memories of the processing element: modules that others can stand in for, as the manifest describes them."""

import re
import subprocess

import pytest
from amaranth.back import rtlil
from amaranth.hdl import signed

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.hw.pe.double_buffer import BufferShape, DoubleBuffer
from vsq.hw.pe.memory import MemoryShape
from vsq.tb.vectors.generation import generate

CONFIG = PeConfig.parse("3/3/2/2:V=2,style=behavioural@lanes=2,weight_depth=2,activation_depth=4")
# A macro as OpenRAM calls its ports, enables active low, in a module with the ports of the memory.
WRAPPED = """
module {module}(input clk, input write, input [{high_address}:0] write_address, input [{high}:0] write_data,
  input read, input [{high_address}:0] read_address, output [{high}:0] read_data);
  ram macro(.clk0(clk), .csb0(!({write})), .web0(1'b0), .addr0(write_address), .din0(write_data),
    .clk1(clk), .csb1(!read), .addr1(read_address), .dout1(read_data));
endmodule
module ram(input clk0, csb0, web0, input [{high_address}:0] addr0, input [{high}:0] din0,
  input clk1, csb1, input [{high_address}:0] addr1, output reg [{high}:0] dout1);
  reg [{high}:0] words [0:{last}];
  always @(posedge clk0) if (!csb0 && !web0) words[addr0] <= din0;
  always @(posedge clk1) if (!csb1) dout1 <= words[addr1];
endmodule
"""


@pytest.mark.parametrize("write", ["write", "write && write_address != 0"], ids=["a macro", "one that loses a word"])
def test_a_macro_stands_in_for_a_memory(write, require_tool, tmp_path):
    require_tool("icarus")
    generate(CONFIG, tmp_path, "dut", vectors=40)
    shape = design(CONFIG).memories[0]
    module = f"dut_{shape.kind}"
    text = WRAPPED.format(
        module=module,
        write=write,
        high=shape.width - 1,
        last=shape.depth - 1,
        high_address=(shape.depth - 1).bit_length() - 1,
    )
    (tmp_path / "macro.v").write_text(text)
    command = ["iverilog", "-Wall", f"-D{module}", "-o", "bench", "dut_tb.v", "dut.v", "macro.v"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stderr == ""
    done = subprocess.run(["vvp", "-n", "bench"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (write == "write"), done.stdout


@pytest.mark.parametrize("options", ["", ",clock_enable=1"])
def test_the_manifest_describes_the_modules(options):
    made = design(PeConfig.parse(f"3/3/2/2:V=2{options}@lanes=2,weight_depth=2,activation_depth=4"))
    verilog, memories = made.verilog("dut"), made.manifest("dut")["memories"]
    assert [(entry["width"], entry["depth"], entry["count"], entry["read_latency_cycles"]) for entry in memories] == [
        (2 * 3 + 2, 2 * 2, 2, 1),
        (2 * 3 + 2, 2 * 4, 1, 1),
        (made.config.multiplier_bits + made.config.shift_bits + made.config.bias_bits, 2 * 2, 1, 0),
    ]
    for entry in memories:
        head = re.search(rf"^module {entry['module']}\((.*?)\);", verilog, re.MULTILINE | re.DOTALL)[1]
        declared = re.findall(r"(input|output) +(?:wire|reg) +(?:\[(\d+):0\])? *(\w+)", head)
        ports = {(one["name"], one["direction"], one["width"]) for one in entry["ports"]}
        assert {(name, way, int(high or 0) + 1) for way, high, name in declared} == ports
        assert entry["write_enable_width"] == entry["width"]
        assert f"`ifndef {entry['module']} //" in verilog


def test_the_name_of_a_shape_tells_it():
    for shape in (MemoryShape(20, 64), MemoryShape(1, 2, registered=False)):
        assert MemoryShape.of(shape.kind) == shape
    assert MemoryShape.of("vsq_memory") is None


def test_no_word_is_written_and_read_at_once():
    """In no state are the addresses of a port pair equal, so that the attribute of the memories holds."""
    source = rtlil.convert(DoubleBuffer(BufferShape(signed(3), depth=4, ways=2)), name="buffer")
    commands = ["read_rtlil buffer.il", "hierarchy -top buffer", "proc", "flatten", "delete t:$mem* t:$*dff*"]
    banks = [f"sat -set way{way}.write_address way{way}.read_address" for way in range(2)]
    entries = [f"sat -set way{way}.write_address[1:0] way{way}.read_address[1:0]" for way in range(2)]
    log = run_yosys([*commands, *banks], {"buffer.il": source})["log"]
    assert (log.count("no model found"), log.count("model found")) == (2, 2)
    log = run_yosys([*commands, *entries], {"buffer.il": source})["log"]
    assert (log.count("no model found"), log.count("model found")) == (0, 2)


@pytest.mark.slow
def test_block_ram_takes_no_registers_beside():
    """Those would serve a read of the word that is written."""
    config = PeConfig.parse("3/3/2/2:V=2,target=fpga@lanes=2,weight_depth=256,activation_depth=4,ppu=off")
    verilog, name = design(config).verilog("dut"), f"dut_{design(config).memories[0].kind}"
    for text, registers in (verilog, False), (verilog.replace('(* ramstyle = "no_rw_check" *)', ""), True):
        log = run_yosys(["read_verilog dut.v", f"synth_ice40 -top {name}", "stat"], {"dut.v": text})["log"]
        statistics = log.rpartition("Printing statistics")[2]
        assert "SB_RAM40_4K" in statistics
        assert ("SB_DFF" in statistics) == registers
