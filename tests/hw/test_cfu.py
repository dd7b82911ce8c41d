"""The custom function unit: golden results through its interface, faults found, and designs that have none."""

import subprocess

import pytest

import vsq
from vsq.golden.contract.errors import InputError
from vsq.tb.simulation.simulators import find

FAULTS = {  # of the wrapper, each in place of what it has
    "a mark": (".in_first(first)", ".in_first(1'b0)"),
    "a part": ("{part[1:0], 6'd0}", "{part[0], 7'd0}"),
    "the sign": ("{{3{given[28]}}", "{{3{1'b0}}"),
    "the flag": (".out_overflow(given[29])", ".out_overflow()"),
    "a response that does not wait": ("if (rsp_valid & rsp_ready)", "if (rsp_valid)"),
}


def generated(folder, config, **options):
    vsq.generate(config, folder, "mac", companions=["cfu"], **options)
    return folder


def simulated(folder):
    """Return what the unit's bench prints."""
    command = ["iverilog", "-Wall", "-o", "cfu", "mac_cfu_tb.v", "mac_cfu.v", "mac.v"]
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return subprocess.run(["vvp", "-n", "cfu"], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "config",
    [
        "4/4U/4/6:V=3,R=6,style=behavioural",
        *(
            pytest.param(config, marks=pytest.mark.slow)
            for config in (
                "4/4/4/6:pipeline=3,target=fpga,registered_ready=1",
                "8/8/-/-:V=9,acc=70,reset=none",
                "4/e2m1/3/-:V=3,reset_polarity=low,clock_enable=1",
                "mxfp4:V=32",
                "8/8/-/-:V=1,reset=async,pipeline=0",
            )
        ),
    ],
)
def test_the_unit_computes_the_golden_results(config, require_tool, tmp_path):
    require_tool("icarus")
    printed = simulated(generated(tmp_path, config, vectors=60))
    assert printed.startswith("PASS: ")
    results = (tmp_path / "mac_expected.memh").read_text().split()
    assert printed.split()[1] == str(len(results))


@pytest.mark.slow
def test_its_bench_finds_faults(require_tool, tmp_path):
    require_tool("icarus")
    path = generated(tmp_path, "4/4/4/6", vectors=200) / "mac_cfu.v"
    text = path.read_text()
    for fault, (sound, faulty) in FAULTS.items():
        assert text.count(sound) == 1, fault
        path.write_text(text.replace(sound, faulty))
        assert "FAIL" in simulated(tmp_path), fault
    path.write_text(text)
    assert "PASS" in simulated(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("config", ["4/4/4/6", "8/8/-/-:V=8,acc=32,reset=none", "3/3/-/-:V=2,acc=31"])
def test_verilator_has_nothing_to_say(config, require_tool, tmp_path):
    require_tool("verilator")
    simulator = find("verilator")
    command = [simulator.executable, "--lint-only", "-Wall", "--top", "Cfu", "mac_cfu.v", "mac.v"]
    folder = generated(tmp_path, config)
    done = subprocess.run(command, cwd=folder, env=simulator.environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "mac_cfu_tb.v").exists()


@pytest.mark.parametrize(
    ("config", "interface", "message"),
    [
        ("4/4/4/6", "axis", "it is for vector MACs with plain ports"),
        ("2/2/-/-:V=1,style=behavioural@lanes=1,ppu=off", "native", "it is for vector MACs with plain ports"),
        ("16/16/-/-:V=256", "native", "a vector of 8192 bits has 128 parts of 64; at most 127 fit"),
    ],
)
def test_designs_without_a_unit_are_refused(config, interface, message, tmp_path):
    with pytest.raises(InputError, match=message):
        vsq.generate(config, tmp_path, companions=["cfu"], interface=interface)
    assert not [*tmp_path.iterdir()]
