"""A sample of the mutation run: mutants of a small design are found or proved equivalent, and the prover can deny."""

import json
import re
from collections import Counter
from dataclasses import replace
from functools import cache

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.designs import environment
from vsq.tb.formal.equivalence import STAGES, Verdict, compare, gated, mutant_pair
from vsq.tb.mutation import mutants, mutate
from vsq.tb.mutation.mutants import RUNS, describe, draw
from vsq.tb.mutation.mutate import drawn
from vsq.tb.mutation.pins import EXPOSE, Pins, rows, run_undefined
from vsq.tb.regression.job import TOP

CONFIG = MacConfig.parse("3/3U/3/3:V=2,R=4,acc=10,pipeline=2")
ELEMENT = PeConfig.parse("2/2U/-/2:V=1,acc=5@lanes=2,weight_depth=1,activation_depth=2,multiplier_bits=2")
COUNT = 20
GATING = "-mode const1 .*-wire mac_datapath_nonzero "  # data registers load zeros instead of holding still


@pytest.mark.slow
@pytest.mark.parametrize("bench", RUNS)
def test_every_mutant_is_found_or_proved_equivalent(bench, require_tool, tmp_path):
    require_tool("verilator")
    report = mutate.score(CONFIG, COUNT, 1, bench, tmp_path)
    assert len(report.mutants) == COUNT
    assert report.missed == []
    assert report.found > 0.8 * COUNT
    [path] = tmp_path.iterdir()
    assert [mutant["change"] for mutant in json.loads(path.read_text())["mutants"]] == [
        mutant.change for mutant in report.mutants
    ]


def test_what_the_bench_misses_counts_against_it(monkeypatch, tmp_path, capsys):
    """A bench that finds the first mutant alone: the others are proved equivalent, or missed."""
    monkeypatch.setitem(RUNS, "plain", lambda config, mutants, seed, folder: ["", "wrong"] + [""] * 3)
    monkeypatch.setattr(mutate, "compare", lambda *_: next(verdicts))
    verdicts = iter([Verdict.EQUIVALENT, Verdict.UNKNOWN, Verdict.DIFFERENT])
    report = mutate.score(CONFIG, 4, 1, "plain", tmp_path)
    assert (report.found, [mutant.verdict for mutant in report.missed]) == (1, ["unknown", "differs"])
    monkeypatch.setitem(RUNS, "plain", lambda *_: ["wrong"] * 5)
    with pytest.raises(RuntimeError, match="the unchanged design fails: wrong"):
        mutate.score(CONFIG, 4, 1, "plain", tmp_path / "other")
    verdicts = iter([Verdict.EQUIVALENT])  # a second run takes up the first, and asks for the unknown one alone
    report = mutate.score(CONFIG, 4, 1, "plain", tmp_path)
    assert (report.found, [mutant.verdict for mutant in report.missed]) == (1, ["differs"])


@pytest.mark.parametrize("arguments", [["--mutants", "0"], ["--mutants", "70000"], ["--seed", "-1"], ["2/2"]])
def test_bad_input_is_one_line(arguments, capsys):
    assert mutate.main(arguments) == 2
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_seed_draws_small_macs_and_elements():
    designs = [*drawn(5, 4)]
    assert designs == [*drawn(5, 4)]
    assert [config.kind for config in designs] == ["mac", "pe", "mac", "pe"]
    assert {design.full_name for design in designs}.isdisjoint(design.full_name for design in drawn(6, 4))


@cache
def every_mutation(rtlil):
    """Return mutations of the flattened design, a line each."""
    commands = ["read_rtlil a.il", "flatten", "opt_clean", "mutate -list 3000 -seed 1 -o a.txt"]
    return run_yosys(commands, {"a.il": rtlil}, ["a.txt"])["a.txt"]


def mutations(pattern, rtlil):
    """Return the mutations whose command matches, and the one that changes nothing."""
    listing = every_mutation(rtlil)
    none = f"mutate -mode none -module {TOP} "
    return [line for line in [*listing.splitlines(), none] if re.search(pattern, line)]


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        ("-mode inv .*mac_datapath_accumulator.* -port Q ", Verdict.DIFFERENT),
        ("-mode const0 .*mac_datapath_dot_product.* -port Q ", Verdict.DIFFERENT),
        (GATING, Verdict.EQUIVALENT),
        ("-mode const0 .* -port CLK ", Verdict.UNKNOWN),
        ("-mode inv .*mac_datapath_scale.* -port CLK ", Verdict.UNKNOWN),
        ("-mode none", Verdict.EQUIVALENT),
    ],
)
def test_verdicts(pattern, verdict):
    rtlil = design(CONFIG).rtlil(TOP)
    [command, *_] = mutations(pattern, rtlil)
    assert compare(Pins(CONFIG), rtlil, command, 20) == verdict


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [("-mode inv .*-wire result_acc ", Verdict.DIFFERENT), ("-mode none", Verdict.EQUIVALENT)],
)
def test_verdicts_of_elements(pattern, verdict):
    rtlil = design(ELEMENT).rtlil(TOP)
    [command, *_] = mutations(pattern, rtlil)
    assert compare(Pins(ELEMENT), rtlil, command, 20) == verdict


GATED = "-mode const1 .*mac_control.* -port {} .*-wire {} "


@pytest.mark.parametrize(
    ("pattern", "verdict"),
    [
        ("-mode const1 .* -port Y .*-wire mac_datapath_nonzero ", Verdict.EQUIVALENT),
        (GATED.format("B", "mac_datapath_nonzero"), Verdict.EQUIVALENT),
        ("-mode const0 .* -port Y .*-wire mac_datapath_nonzero ", Verdict.UNKNOWN),
        (GATED.format("B", "mac_control.active0"), Verdict.UNKNOWN),
        (GATED.format("Q", "mac_control.active0"), Verdict.UNKNOWN),
    ],
)
def test_gating_mutants_of_the_headline(pattern, verdict):
    """Data registers may load for r = 0, but not hold for another; nor may the accumulator load what they hold."""
    config = MacConfig.parse("headline")
    rtlil = design(config).rtlil(TOP)
    [command, *_] = mutations(pattern, rtlil)
    assert gated(mutant_pair(Pins(config), rtlil, command), 20) == verdict


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (CONFIG, 6),
        pytest.param(CONFIG, 150, marks=pytest.mark.slow),
        pytest.param(ELEMENT, 60, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_no_stage_proves_a_mutant_that_a_simulation_tells_apart(config, count, require_tool, tmp_path):
    """Each way of proof alone, against the bench, and against the search for a short difference."""
    require_tool("verilator")
    mutants = draw(config, count, 2)
    _, *found = RUNS["plain"](config, mutants, 2, tmp_path)
    told = [command for command, reason in zip(mutants.commands, found, strict=True) if reason]
    assert len(told) > count // 2
    for command in told:
        if " -port CLK " in command:
            assert compare(Pins(config), mutants.rtlil, command, 2) == Verdict.UNKNOWN, command
        else:
            pair = mutant_pair(Pins(config), mutants.rtlil, command)
            assert {stage(pair, 2) for stage in STAGES} <= {Verdict.DIFFERENT, Verdict.UNKNOWN}, command


def test_the_inverted_clock_of_a_register_that_nobody_reads_in_time_is_equivalent():
    """The counts of what was loaded last are read by the next command alone; the command's own register is not."""
    config = PeConfig.parse("2/2U/-/2:V=1,acc=5@lanes=2,weight_depth=2,activation_depth=2,ppu=off")
    rtlil = design(config).rtlil(TOP)
    commands = set(mutations("-mode inv .*pe_load_control.* -port CLK ", rtlil))
    verdicts = Counter(compare(Pins(config), rtlil, command, 20) for command in commands)
    assert verdicts[Verdict.EQUIVALENT] == 2
    assert verdicts[Verdict.UNKNOWN] == verdicts.total() - 2 > 0


def test_stages_may_hold_anything_while_they_are_empty():
    """A register may load without a vector, but not in place of one."""
    rtlil = design(CONFIG).rtlil(TOP)
    [command, *_] = mutations("-port Y .*-wire mac_control.take1 ", rtlil)
    cell = re.escape(re.search(r"-cell (\S+) ", command)[1])
    for port, verdict in {"A": Verdict.EQUIVALENT, "B": Verdict.UNKNOWN}.items():  # valid and ready
        [command, *_] = mutations(f"-mode const1 .*-cell {cell} -port {port} ", rtlil)
        assert gated(mutant_pair(Pins(CONFIG), rtlil, command), 20) == verdict, command


def test_registers_that_never_load_hold_anything():
    """An accumulator that never loads is no constant, and differs."""
    rtlil = design(CONFIG).rtlil(TOP)
    [command, *_] = mutations("-mode const0 .* -port EN .*-wire mac_datapath_enables ", rtlil)
    pair = mutant_pair(Pins(CONFIG), rtlil, command)
    assert [stage(pair, 20) for stage in STAGES] == [Verdict.DIFFERENT, *[Verdict.UNKNOWN] * 2, Verdict.DIFFERENT]


def test_data_registers_that_do_not_hold_still_are_found(require_tool, tmp_path):
    """No result shows it; the enables do, to the proof and to the promised pins."""
    require_tool("icarus")
    rtlil, pins = design(CONFIG).rtlil(TOP), Pins(CONFIG, enables=True)
    command = mutations(GATING, rtlil)[0]
    assert compare(pins, rtlil, command, 20) == Verdict.DIFFERENT
    cycles = rows(pins, 200, 1)
    verdicts = []
    for change in ([], [command]):
        script = ["read_rtlil a.il", EXPOSE, "flatten", "opt_clean", *change, "write_verilog -noattr a.v"]
        verilog = run_yosys(script, {"a.il": rtlil}, ["a.v"])["a.v"]
        verdicts.append(run_undefined(pins, verilog, cycles, tmp_path))
    assert verdicts[0] == "passed"
    assert verdicts[1].startswith("cycle ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bench", "options"),
    [
        ("cocotb", "clock_enable=1"),
        ("cocotb", "reset=async,reset_polarity=low,clock_enable=1,registered_ready=1"),
        ("plain", "reset=async,registered_ready=1"),
    ],
)
def test_mutants_of_the_ports_options_are_found_or_proved_equivalent(bench, options, require_tool, tmp_path):
    require_tool("verilator")
    report = mutate.score(MacConfig.parse(f"2/2U/2/2:V=1,R=3,acc=5,{options}"), COUNT, 1, bench, tmp_path)
    assert report.missed == []
    assert report.found > 0.8 * COUNT


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3])
def test_few_vectors_find_low_bits_of_floats(seed, require_tool, monkeypatch, tmp_path):
    """Mutants of products and of what shifts them, which show behind small scales alone, in 300 vectors."""
    require_tool("verilator")
    config = MacConfig.parse("nvfp4:V=2")
    monkeypatch.setattr(mutants, "environment", lambda config: replace(environment(config), mutant_vectors=300))
    changed = draw(config, 70, 1)
    sound, *found = RUNS["plain"](config, changed, seed, tmp_path)
    assert not sound
    missed = [change for change, reason in zip(changed.commands, found, strict=True) if not reason]
    for change in missed:
        if "hw/arithmetic/" in describe(change):
            assert compare(Pins(config), changed.rtlil, change, 60) == Verdict.EQUIVALENT, describe(change)


def test_a_mutant_that_only_a_disabled_edge_tells_is_no_equivalent():
    """A register loads at a disabled edge too: its enable takes no notice of the clock's."""
    config = MacConfig.parse("2/2U/2/2:V=1,R=3,acc=5,clock_enable=1")
    rtlil = design(config).rtlil(TOP)
    flat = run_yosys(["read_rtlil a.il", "flatten", "opt_clean", "write_rtlil b.il"], {"a.il": rtlil}, ["b.il"])["b.il"]
    cells = re.findall(r"^  cell \S+ (\S+)\n(?:    .*\n)*?    connect \\A \{ \S+ \\clk_en \}", flat, re.MULTILINE)
    for cell in cells[:2]:
        ignoring = f"mutate -mode const1 -module {TOP} -cell {cell} -port A -portbit 0 "
        assert compare(Pins(config), rtlil, ignoring, 30) == Verdict.EQUIVALENT
        assert compare(Pins(config, disabling=True), rtlil, ignoring, 30) == Verdict.DIFFERENT


def test_a_design_without_reset_has_no_mutants(tmp_path):
    config = MacConfig.parse("2/2U/2/2:V=1,R=3,acc=5,reset=none")
    with pytest.raises(InputError, match="of designs with a reset; leave reset=none out"):
        mutate.score(config, 1, 1, "cocotb", tmp_path)
