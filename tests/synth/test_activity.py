"""Activity of mapped netlists: bit by bit the golden model's results, and transition by transition a simulator's."""

import subprocess
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import mac
from vsq.golden.model.pe import ElementModel
from vsq.hw.emit.design import design
from vsq.synth.flow.models import gate_level_verilog
from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.synth.gatesim.netlist import clocks_of, flat
from vsq.synth.gatesim.simulation import WORD, Simulation, pack, pack_codes, popcount
from vsq.synth.gatesim.stimulus import mac_activity, mac_beats, mac_ports, operands, pe_streams, results
from vsq.synth.library.liberty import Library

CONFIG = MacConfig.parse("3/3/2/2:V=2,R=3")
PE = PeConfig.parse("3/4/2/3:V=2@lanes=4,weight_depth=4,activation_depth=16")
TOP = "m"
ONE = np.full((1, 1), ~np.uint64(0))


def unpack(words):
    return np.unpackbits(words.view(np.uint8), axis=-1, bitorder="little")


@pytest.fixture(scope="module")
def library():
    return Library.load()


@pytest.fixture(scope="module", params=["clock gates", "latches"])
def foundry(request, library):
    """The built-in library, which has a clock gate, and a foundry's, where a latch and an AND are one."""
    return library if request.param == "clock gates" else request.getfixturevalue("osu018")


@pytest.fixture(scope="module")
def netlist(foundry):
    return synthesize(design(CONFIG).rtlil(TOP), TOP, Flow(library=foundry, flatten=True))


@pytest.fixture(scope="module")
def beats():
    return mac_beats(CONFIG, operands(CONFIG, "gaussian"))


@pytest.fixture(scope="module")
def ports(beats):
    return {f"in_{name}": words for name, words in mac_ports(CONFIG, beats).items()}


def unsigned(bits):
    """Bits [width, S] as integers [S]."""
    return (1 << np.arange(len(bits))) @ bits.astype(np.int64)


def signed(bits):
    return unsigned(bits) - (bits[-1].astype(np.int64) << len(bits))


def transitions(vcd, begin, end):
    """Transitions of every bit, LSB first, of each variable of a value change dump between two times."""
    names, values, time = {}, {}, 0
    counts = {}
    for line in vcd.splitlines():
        if line.startswith("$var"):
            _, _, width, code, name, *_ = line.split()
            names.setdefault(code, []).append(name)
            counts[code] = [0] * int(width)
        elif line.startswith("#"):
            time = int(line[1:])
        elif line and line[0] in "01xzb" and names:
            value, code = line[1:].split() if line[0] == "b" else (line[0], line[1:])
            width = len(counts[code])
            value = value.rjust(width, "0" if value[0] == "1" else value[0])[::-1]
            if begin <= time < end:
                for bit, (old, new) in enumerate(zip(values[code], value, strict=True)):
                    counts[code][bit] += old != new
            values[code] = value
    return {name: counts[code] for code, found in names.items() for name in found}


def handmade(body):
    return flat(
        Netlist(top=TOP, modules={TOP: {}}, verilog=f"module {TOP}(input a, input clk, output y); {body} endmodule")
    )


def test_words_hold_a_bit_for_each_stream():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (3, 2 * WORD))
    words = pack(bits)
    assert words.shape == (3, 2)
    assert all(int(words[i, j // WORD]) >> j % WORD & 1 == bits[i, j] for i in range(3) for j in range(2 * WORD))
    assert np.array_equal(unpack(words), bits)
    assert popcount(words).tolist() == bits.sum(axis=1).tolist()
    codes = rng.integers(-4, 4, (WORD, 5, 2))
    packed = unpack(pack_codes(codes, 3))
    assert packed.shape == (5, 6, WORD)
    for n, b in product((0, 1), range(3)):
        assert np.array_equal(packed[:, 3 * n + b], codes[:, :, n].T >> b & 1)


@pytest.mark.parametrize("hazards", [False, True])
def test_every_stream_equals_golden(netlist, foundry, beats, ports, hazards):
    every_stream_equals_golden(CONFIG, flat(netlist), foundry, beats, ports, hazards)


def test_every_stream_of_a_window_equals_golden(library):
    config = MacConfig.parse("2/2U/e8m0/-:V=2,window=8")
    netlist = synthesize(design(config).rtlil(TOP), TOP, Flow(library=library, flatten=True))
    beats = mac_beats(config, operands(config, "gaussian"))
    assert beats.offsets.min() > 0
    ports = {f"in_{name}": words for name, words in mac_ports(config, beats).items()}
    every_stream_equals_golden(config, flat(netlist), library, beats, ports, hazards=False)


def every_stream_equals_golden(config, gates, library, beats, ports, hazards):
    """The accumulator after every cycle, in all 64 streams, from one beat after its register is first loaded."""
    simulation = Simulation(gates, library, hazards=hazards)
    for name in ("in_valid", "out_ready"):
        simulation.drive(name, ONE)
    found = []
    for cycle in range(40):
        for name, words in ports.items():
            simulation.drive(name, words[cycle])
        simulation.clock()
        found.append(signed(unpack(simulation.values[gates.outputs["out_acc"]])))
    lag = config.pipeline + 1
    for stream in range(WORD):
        columns = [None if column is None else column[stream, : 40 - lag] for column in vars(beats).values()]
        expected = mac(config, *columns, trace=True).trace.acc
        assert [one[stream] for one in found[lag:]] == expected.tolist()


def test_transitions_are_those_that_icarus_sees(netlist, foundry, ports, require_tool, tmp_path):
    """Every net's transitions and ones over 60 cycles of the first stream, at the ends of cycles."""
    require_tool("icarus")
    ports = {name: words[:, :, 0] & np.uint64(1) for name, words in ports.items()}
    cycles = len(ports["in_first"])
    widths = {name: bits.shape[1] for name, bits in ports.items()}
    lines = ["".join("".join(map(str, bits[cycle][::-1])) for bits in ports.values()) for cycle in range(cycles)]
    (tmp_path / "beats.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "m.v").write_text(gate_level_verilog(netlist, foundry))
    total = sum(widths.values())
    ends = np.cumsum(list(widths.values()))
    connections = [f".{name}(beat[{total - end} +: {widths[name]}])" for name, end in zip(widths, ends, strict=True)]
    (tmp_path / "bench.v").write_text(f"""`timescale 1ns/1ns
module bench;
  reg [{total - 1}:0] beats [0:{cycles - 1}];
  reg clk = 0, rst = 1;
  integer cycle = 0;
  wire [{total - 1}:0] beat = beats[cycle];
  initial begin $readmemb("beats.txt", beats); $dumpfile("out.vcd"); $dumpvars(1, dut); end
  always #5 clk = ~clk;
  always @(posedge clk) begin rst <= 0; cycle <= cycle + 1; if (cycle == {cycles - 1}) $finish; end
  {TOP} dut (.clk(clk), .rst(rst), .in_valid(1'b1), .out_ready(1'b1), {", ".join(connections)});
endmodule
""")
    for command in (["iverilog", "-g2012", "-o", "bench", "bench.v", "m.v"], ["vvp", "-n", "bench"]):
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    first, last = 20, 80
    # The inputs of cycle c come at the edge at 10 * c - 5.
    seen = transitions((tmp_path / "out.vcd").read_text(), 10 * first - 5, 10 * last - 5)

    gates = flat(netlist)
    simulation = Simulation(gates, foundry)
    simulation.drive("rst", ONE)
    for name in ("in_valid", "out_ready"):
        simulation.drive(name, ONE)
    for cycle in range(last):
        if cycle == first:
            simulation.reset_counts()
        for name, bits in ports.items():
            simulation.drive(name, np.where(bits[cycle], ~np.uint64(0), np.uint64(0))[:, None])
        simulation.clock()
        simulation.drive("rst", ~ONE)
    activity, gated = simulation.activity(), clocks_of(gates, foundry).gated
    compared = 0
    for name, nets in gates.names.items():
        if name in seen and not set(nets) & clocks_of(gates, foundry).roots:
            mine = np.rint(activity.toggles[nets] * (last - first)).astype(int).tolist()
            assert mine == seen[name][: len(nets)], name
            compared += len(nets)
    assert compared > 100
    assert 0 < activity.toggles[[*gated]].min() < 2


def test_hazards_are_the_transitions_within_a_cycle(library):
    """An exclusive or of a signal and its inverse is constant, but for two transitions each time the signal moves."""
    gates = handmade("INV i (.A(a), .Y(n)); XOR2 x (.A(a), .B(n), .Y(y));")
    for hazards, expected in ((False, 0), (True, 2)):
        simulation = Simulation(gates, library, hazards=hazards)
        for cycle in range(8):
            simulation.drive("a", ONE if cycle % 2 else ~ONE)
            simulation.clock()
            if cycle == 0:
                simulation.reset_counts()
        activity = simulation.activity()
        (a,), (y,) = gates.inputs["a"], gates.outputs["y"]
        assert activity.toggles[a] == 1
        assert activity.toggles[y] == expected
        assert activity.ones[y] == 1
        assert activity.cycles == 7 * WORD


def test_a_gated_register_loads_where_its_enable_was_1_before_the_edge(library):
    """The enable follows the data's register, so that it is of the cycle before."""
    body = "DFF e (.D(a), .CK(clk), .Q(n)); CLKGATE g (.CK(clk), .E(n), .GCK(c)); DFF f (.D(a), .CK(c), .Q(y));"
    gates, rng = handmade(body), np.random.default_rng(3)
    simulation, bits = Simulation(gates, library), rng.integers(0, 2, (12, WORD))
    enable, data, held = np.zeros((3, WORD), int)
    loads = 0
    for cycle, row in enumerate(bits):
        simulation.drive("a", pack(row)[None])
        simulation.clock()
        # The edge sees what stood before it, and the new input follows.
        enable, data, held, loaded = data, row, np.where(enable, data, held), enable
        if cycle:
            loads += loaded.sum()
        else:
            simulation.reset_counts()
        assert np.array_equal(unpack(simulation.values[gates.outputs["y"]])[0], held)
    activity, (clock,) = simulation.activity(), gates.names["c"]
    assert activity.toggles[clock] == 2 * loads / (11 * WORD)
    assert activity.ones[clock] == activity.toggles[clock] / 4


def test_the_datapath_holds_still_while_the_scale_factor_is_zero(netlist, foundry, beats):
    still = replace(beats, weight_scales=np.zeros_like(beats.weight_scales), first=np.zeros_like(beats.first))
    gates = flat(netlist)
    moving = mac_activity(Simulation(gates, foundry), CONFIG, beats)
    held = mac_activity(Simulation(gates, foundry), CONFIG, still)
    assert held.toggles[gates.outputs["out_acc"]].sum() == 0
    assert moving.toggles[gates.outputs["out_acc"]].sum() > 1
    register = sum(netlist.modules[TOP][cell] for cell in netlist.modules[TOP] if foundry.cells[cell].flip_flop)
    q = [gate.pins["Q"] for gate in gates.gates if foundry.cells[gate.cell].flip_flop and "Q" in gate.pins]
    assert register >= len(q) > CONFIG.acc_bits
    assert held.toggles[q].sum() < moving.toggles[q].sum() / 5


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "DFFR f (.D(a), .CK(clk), .RN(a), .Q(y));",
            "cell DFFR of library vsq_nand2: a flip-flop or.*; mark it dont_use",
        ),
        ("DFF f (.D(a), .CK(clk), .Q(b)); DFF g (.D(b), .CK(a), .Q(y));", "netlist of 2 clocks.*; simulate its parts"),
        ("INV f (.A(b), .Y(y)); INV g (.A(y), .Y(b));", "combinational loop.*; break the loop"),
        (
            "CLKGATE f (.CK(clk), .E(a), .GCK(b)); CLKGATE g (.CK(b), .E(a), .GCK(c)); DFF h (.D(a), .CK(c), .Q(y));",
            "gated clock behind another.*; gate registers only",
        ),
    ],
)
def test_netlists_that_can_not_be_simulated_are_refused(library, body, message):
    with pytest.raises(InputError, match=message):
        Simulation(handmade(body), library)


def test_a_latch_that_gates_no_clock_is_refused(osu018):
    with pytest.raises(InputError, match=r"latch that gates no clock.*; use flip-flops"):
        Simulation(handmade("LATCH f (.CLK(a), .D(b), .Q(y));"), osu018)


def test_a_processing_element_equals_golden(library):
    """Codes and scales of every result beat in all 64 streams, through the memories, whose accesses are counted."""
    netlist = synthesize(design(PE).rtlil(TOP), TOP, Flow(library=library))
    gates, played = flat(netlist), pe_streams(PE, operands(PE.mac, "gaussian"))
    simulation = Simulation(gates, library)
    expected = [ElementModel(PE).run(part) for part in played]
    count = sum(len(result.codes.reshape(-1, 2)) for result in expected[0])
    found = []
    for _ in islice(results(simulation, PE, played), count):
        codes, scale = (unpack(simulation.values[gates.outputs[f"result_{name}"]]) for name in ("codes", "scale"))
        found.append([signed(codes[:4]), signed(codes[4:]), unsigned(scale)])
    for stream in range(WORD):
        codes = np.concatenate([result.codes.reshape(-1, 2) for result in expected[stream]])
        scales = np.concatenate([result.scales.ravel() for result in expected[stream]])
        assert [[one[stream] for one in beat] for beat in found] == np.column_stack([codes, scales]).tolist()

    activity, command = simulation.activity(), played[0].commands[0]
    cycles, operands_read = activity.cycles // WORD, len(played[0].commands) * command.rows * command.vectors
    weights = [number for number, memory in enumerate(gates.memories) if memory.component == "weight_buffer"]
    assert activity.reads[weights] * cycles == pytest.approx([operands_read] * PE.lanes)
    assert activity.writes[weights] * cycles == pytest.approx([len(played[0].weights.codes) // PE.lanes] * PE.lanes)
