"""The plain-Verilog bench: it passes in both simulators, and its exit code tells of every planted defect."""

import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vsq.golden.contract.config import MacConfig, Overflow
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.stimulus.stream import complete
from vsq.hw.emit.design import design
from vsq.tb.simulation import build
from vsq.tb.simulation.simulators import find
from vsq.tb.vectors.generation import generate

EDGES = [
    "4/4/4/6:V=4",
    "5/3U/-/2:V=3,acc=8,overflow=wrap,pipeline=0",
    "9/9/9/9:V=1,acc=70,style=behavioural",
    "1U/1U/1/1:V=1,R=1,acc=2",
]
VECTORS = 300


@pytest.fixture
def simulate(require_tool, tmp_path):
    """Return a function that runs the bench in the folder under Icarus, on another design if one is given."""
    require_tool("icarus")

    def run(verilog="", *arguments):
        if verilog:
            (tmp_path / "dut.v").write_text(verilog)
        compiled = ["iverilog", "-Wall", "-o", "bench", "dut_tb.v", "dut.v"]
        assert subprocess.run(compiled, cwd=tmp_path, capture_output=True, text=True, check=True).stderr == ""
        done = subprocess.run(
            ["vvp", "-n", "bench", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        verdict = done.stdout.splitlines()
        assert any(line.startswith("FAIL: " if done.returncode else "PASS: ") for line in verdict), done.stdout
        return done.returncode, done.stdout

    return run


def drawn(count):
    """Return random small vector MACs, and print them and their seed."""
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    configs = []
    for _ in range(count):
        elements = f"{chance.randint(2, 6)}/{chance.randint(2, 6)}{chance.choice(['', 'U'])}"
        text = f"{elements}/{chance.choice(['-', 1, 3, 4])}/{chance.choice(['-', 2, 5, 6])}:V={chance.randint(1, 4)}"
        text += f",pipeline={chance.randint(0, 3)},overflow={chance.choice(['saturate', 'wrap'])},style=behavioural"
        config = MacConfig.parse(text)
        if chance.random() < 0.7:
            config = MacConfig.parse(text, accumulator_bits=max(2, config.acc_bits - chance.randint(5, 9)))
        configs.append(config)
    print("seed", seed, *(config.full_name for config in configs))
    return configs


@pytest.mark.parametrize("config", EDGES)
def test_passes_and_finds_a_wrong_bit(config, simulate, tmp_path):
    generate(MacConfig.parse(config), tmp_path, "dut", vectors=VECTORS)
    assert simulate()[0] == 0
    assert simulate("", "+seed=7")[0] == 0
    expected = tmp_path / "dut_expected.memh"
    words = expected.read_text().split()
    words[-1] = f"{int(words[-1], 16) ^ 1:x}"
    expected.write_text("\n".join(words) + "\n")
    code, text = simulate()
    assert code != 0
    assert "FAIL: 2 errors" in text  # at full speed, and with pauses


def test_few_vectors(simulate, tmp_path):
    for count in range(1, 6):
        generate(MacConfig.parse("4/4/4/6:V=2"), tmp_path, "dut", vectors=count)
        assert simulate()[0] == 0


def without_resets(verilog):
    """Yield for each register with a reset its module, its name, and the design without that reset.

    The register is defined at power-up, lest X tell.
    """
    for block in re.finditer(r"if \(rst\)(?: begin)?\n((?: +\w+ <= \S+;\n)+)", verilog):
        for reset in re.finditer(r"(\w+) <= (\S+);", block[1]):
            start, stop = (block.start(1) + place for place in reset.span())
            begin, end = verilog.rindex("\nmodule ", 0, start), verilog.index("\nendmodule", stop)
            module = f"{verilog[begin:start]}{reset[1]} <= {loaded(verilog[stop:end], reset[1])};{verilog[stop:end]}"
            declared = rf"^(  output reg [^\n,]*\b{reset[1]}\b|  reg [^;]*?\b{reset[1]}\b)"
            module, count = re.subn(declared, rf"\1 = {reset[2]}", module, flags=re.MULTILINE)
            assert count == 1
            yield re.match(r"\nmodule dut_?(\w*)", module)[1], reset[1], verilog[:begin] + module + verilog[end:]


def loaded(process, register):
    """Return what a register holds after a clock edge without reset: what it loads, or what it held."""
    lines = process.split("\n")
    depths = [len(line) - len(line.lstrip()) for line in lines]
    at = next(number for number, line in enumerate(lines) if re.match(rf" +{register} <= ", line))
    above = next(number for number in reversed(range(at)) if depths[number] < depths[at])
    [value, *_] = re.findall(rf"{register} <= ([^;]*);", "\n".join(lines[at:]))
    enable = re.match(r".*?\bif \((.*?)\)(?: begin)?\n", "\n".join(lines[above : at + 1]), re.DOTALL)
    return f"({enable[1]}) ? {value} : {register}" if enable else value


def test_every_deleted_reset_is_found(simulate, tmp_path):
    """The accumulator and its flag have none: ``fresh`` clears them at the first vector after a reset."""
    for config in drawn(3):
        generate(config, tmp_path, "dut", vectors=VECTORS)
        sound = (tmp_path / "dut.v").read_text()
        assert simulate()[0] == 0
        designs = list(without_resets(sound))
        assert len(designs) == config.pipeline + 2, config
        for _, register, verilog in designs:
            assert simulate(verilog)[0] != 0, (config, register)


PE = "4/4/4/6:V=2,acc=14,style=behavioural@lanes=2,weight_depth=4,activation_depth=8"
OTHERS = [
    (MacConfig.parse("4/5U/4/6:V=3,R=6,acc=15,pipeline=2,style=behavioural"), "axis", 3),
    (PeConfig.parse(PE), "native", 9),
]


@pytest.mark.parametrize(("config", "interface", "count"), OTHERS, ids=["axis", "pe"])
def test_other_interfaces(config, interface, count, simulate, tmp_path):
    """Their benches pass, and find a wrong bit and the missing reset of what is ``valid`` or ``loaded``."""
    generate(config, tmp_path, "dut", vectors=60, interface=interface)
    assert simulate()[0] == 0
    assert simulate("", "+seed=9")[0] == 0
    sound = (tmp_path / "dut.v").read_text()
    designs = [(*names, verilog) for *names, verilog in without_resets(sound) if re.search("valid|loaded", names[1])]
    assert len(designs) >= count
    for module, register, verilog in designs:
        assert simulate(verilog)[0] != 0, (module, register)
    expected = tmp_path / "dut_expected.memh"
    *lines, last = expected.read_text().split()
    care = tmp_path / "dut_care.memh"
    matters = int(care.read_text().split()[-1], 16) if care.exists() else 1
    expected.write_text("\n".join([*lines, f"{int(last, 16) ^ matters & -matters:x}"]) + "\n")
    assert simulate(sound)[0] != 0


def test_random_axis_macs(simulate, tmp_path):
    for config in drawn(2):
        generate(config, tmp_path, "dut", vectors=VECTORS, interface="axis")
        assert simulate()[0] == 0
        code, text = simulate(spoiled((tmp_path / "dut.v").read_text(), "m_axis_tdata", "sound ^ m_axis_tready"))
        assert code != 0
        others = [simulate("", f"+seed={seed}")[1] for seed in range(2, 6)]  # ten wrong results end a run
        assert any("a waiting result changed" in text for text in [text, *others])


def test_random_processing_elements(simulate, tmp_path):
    for config in drawn(2):
        ppu = config.overflow == Overflow.SATURATE
        element = PeConfig(mac=config, weight_depth=4, activation_depth=8, ppu=ppu)
        print(element)
        generate(element, tmp_path, "dut", vectors=20)
        assert simulate()[0] == 0


def spoiled(verilog, port, expression):
    """Return the design with an output changed to an expression, in which ``sound`` is its true value."""
    top = re.search(r"^module dut\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)[0]
    head, body = top.split("\n);\n", 1)
    shape = re.search(rf"^  output wire ([^,/]*)\b{port}\b", head, re.MULTILINE)[1]
    body = re.sub(rf"(?<!\.)\b{port}\b", "sound", body)
    return verilog.replace(top, f"{head}\n);\n  wire {shape} sound;\n  assign {port} = {expression};\n{body}")


def outputs(config, prefix=""):
    """Return the names of the design's outputs that start with ``prefix``."""
    return re.findall(
        rf"^  output [^,/]*?\b({prefix}\w*)(?:,| *//)",
        design(config).verilog("dut").partition("endmodule")[0],
        re.MULTILINE,
    )


def test_a_payload_that_is_unstable_or_undefined_is_found(simulate, tmp_path):
    for config in drawn(2):
        generate(config, tmp_path, "dut", vectors=VECTORS)
        sound = (tmp_path / "dut.v").read_text()
        found = outputs(config)
        assert {"in_ready", "out_valid", "out_acc"} <= set(found)
        for port in found:
            assert simulate(spoiled(sound, port, "sound"))[0] == 0
            code, text = simulate(spoiled(sound, port, "sound ^ (sound * 0 | 1'bx)"))
            assert code != 0, (config, port)
        for port in set(found) - {"in_ready", "out_valid"}:
            code, text = simulate(spoiled(sound, port, "sound ^ (out_valid & ~out_ready)"))
            assert code != 0
            assert "a waiting result changed" in text
            assert "a wrong result" not in text


@pytest.mark.parametrize(
    ("valid", "message"),
    [("sound & out_ready", "vectors or results are missing"), ("sound & (in_valid | out_ready)", "was withdrawn")],
)
def test_a_result_that_waits_for_ready_or_is_withdrawn_is_found(valid, message, simulate, tmp_path):
    generate(MacConfig.parse(EDGES[0]), tmp_path, "dut", vectors=VECTORS)
    code, text = simulate(spoiled((tmp_path / "dut.v").read_text(), "out_valid", valid))
    assert code != 0
    assert message in text


def test_another_latency_is_found(simulate, tmp_path):
    config = MacConfig.parse(EDGES[0])
    generate(config, tmp_path, "dut", vectors=VECTORS)
    code, text = simulate(design(replace(config, pipeline=config.pipeline + 1)).verilog("dut"))
    assert code != 0
    due = len(complete(config, VECTORS, seed=1)) + config.pipeline
    assert f"{due + 1} cycles instead of {due}" in text


@pytest.mark.slow
def test_the_commands_of_its_header(require_tool, tmp_path):
    """They run as they stand there, under both simulators; ``+dump`` leaves waves."""
    generate(MacConfig.parse(EDGES[0]), tmp_path, "dut", vectors=VECTORS)
    commands = re.findall(r"^//   > (.*)$", (tmp_path / "dut_tb.v").read_text(), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["iverilog", "verilator", "obj_dir/sim"]
    for tool, lines in ("icarus", commands[:1]), ("verilator", commands[1:]):
        require_tool(tool)
        *_, verdict = [build.call(find(tool), ["sh", "-c", line], tmp_path) for line in lines]
        assert "PASS: " in verdict
    assert not (tmp_path / "dut_tb.vcd").exists()
    build.call(find("icarus"), ["vvp", "-n", "dut_tb", "+dump"], tmp_path)
    assert (tmp_path / "dut_tb.vcd").stat().st_size > 1000
    words = (tmp_path / "dut_expected.memh").read_text().split()
    (tmp_path / "dut_expected.memh").write_text("0\n" * len(words))
    with pytest.raises(RuntimeError, match="Assertion failed in dut_tb"):
        build.call(find("verilator"), ["sh", "-c", commands[-1]], tmp_path)


@pytest.mark.slow
def test_its_verilator_command_builds_what_is_split_and_long_names(require_tool, tmp_path):
    """As a user calls it: the wheel's makefile cannot compile several files, and Verilator hashes long names."""
    require_tool("verilator")
    name = "dut" + "_long" * 26
    generate(MacConfig.parse(EDGES[3]), tmp_path, name, vectors=20)
    [_, line, program] = re.findall(r"^//   > (.*)$", (tmp_path / f"{name}_tb.v").read_text(), re.MULTILINE)
    path = os.pathsep.join(
        [str(find("verilator").executable.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    )
    command = f"{line.replace('--binary', '--binary --output-split 1000')} && {program}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "VM_PARALLEL_BUILDS = 1" in next((tmp_path / "obj_dir").glob("*_classes.mk")).read_text()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS: " in done.stdout


def test_a_pipeline_that_keeps_its_gaps_is_found(simulate, tmp_path):
    """Results and full speed are right; only a stalled design takes fewer vectors."""
    generate(MacConfig.parse("4/4/4/6:V=2,pipeline=2,style=behavioural"), tmp_path, "dut", vectors=VECTORS)
    verilog, count = re.subn(
        r"assign in_ready = ~valid0 \| ready1;", "assign in_ready = ready1;", (tmp_path / "dut.v").read_text()
    )
    assert count == 1
    code, text = simulate(verilog)
    assert code != 0
    assert "the design does not fill up" in text
