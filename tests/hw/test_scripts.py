"""Scripts and constraints for FPGA tools: Yosys runs its own, a Tcl interpreter those of tools that are not here."""

import json
import re
import subprocess

import pytest

import vsq
from vsq.cli.main import main
from vsq.hw.emit.yosys import run_yosys

KINDS = ["yosys", "gowin", "vivado", "quartus", "sdc", "librelane"]
# What a tool would run, a line each with its arguments.
TCL = """interp create plain
plain eval {proc package args {}; proc get_ports name {return $name}; proc unknown args {puts $args}}
plain eval {source %s}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scripts")
    config = "2/2/2/-:V=1,style=behavioural,reset_polarity=low"
    vsq.generate(config, folder, "mac", companions=KINDS, frequency=62.5, interface="axis")
    return folder


def commands(folder, script):
    """Return the commands that a Tcl script gives, each a list of words."""
    (folder / "run.tcl").write_text(TCL % script)
    called = ["sta", "-no_splash", "-exit", "run.tcl"]
    done = subprocess.run(called, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [re.sub(r"[{}]", "", line).split() for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_yosys_runs_its_script(made):
    script = (made / "mac.ys").read_text()
    done = run_yosys(
        script.splitlines(), {"mac.v": (made / "mac.v").read_text()}, ["mac_netlist.json", "mac_cells.txt"]
    )
    cells = json.loads(done["mac_netlist.json"])["modules"]["mac"]["cells"].values()
    assert {"LUT4", "TRELLIS_FF"} <= {cell["type"] for cell in cells} <= {"LUT4", "TRELLIS_FF", "CCU2C", "MULT18X18D"}
    assert "LUT4" in done["mac_cells.txt"]
    assert "--freq 62.5 " in script


@pytest.mark.parametrize("file", ["mac.xdc", "mac_clock.sdc"])
def test_constraints_have_the_frequency(file, made, require_tool):
    require_tool("sta")
    assert commands(made, file) == [["create_clock", "-name", "aclk", "-period", "16.0", "aclk"]]
    assert "set period 16.0\n" in (made / "mac.sdc").read_text()
    assert json.loads((made / "mac_librelane.json").read_text())["CLOCK_PERIOD"] == 16


def test_scripts_name_files_and_ports_that_exist(made, require_tool):
    require_tool("sta")
    vivado, quartus = (commands(made, f"mac_{tool}.tcl") for tool in ("vivado", "quartus"))
    assert [line[:2] for line in vivado if line[0].startswith("read_")] == [
        ["read_verilog", "mac.v"],
        ["read_xdc", "mac.xdc"],
    ]
    assert ["synth_design", "-top", "mac", "-part", "xc7a35tcpg236-1", "-mode", "out_of_context"] in vivado
    given = {line[2]: line[3] for line in quartus if line[0] == "set_global_assignment"}
    assert (given["TOP_LEVEL_ENTITY"], given["VERILOG_FILE"], given["SDC_FILE"]) == ("mac", "mac.v", "mac_clock.sdc")
    virtual = [line[-1].removesuffix("[*]") for line in quartus if line[0] == "set_instance_assignment"]
    ports = [port["name"] for port in json.loads((made / "mac.json").read_text())["ports"]]
    assert virtual == [port for port in ports if port != "aclk"]
    assert len([line for line in quartus if line[-1].endswith("[*]")]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--freq", "0", "--with", "sdc"], "frequency 0 MHz: it is 0.001 to 10000 MHz; give one such as 100"),
        (["--freq", "nan", "--with", "sdc"], "frequency nan MHz: it is 0.001 to"),
        (["--freq", "inf", "--with", "sdc"], "frequency inf MHz: it is 0.001 to"),
        (["--freq", "50", "--with", "c,svh"], "no file has it; give a companion among librelane, sdc, yosys, gowin,"),
        (["--freq", "1e9", "--with", "sdc"], "frequency 1e+09 MHz: it is 0.001 to"),
        (["--freq", "50"], "no file has it"),
        (["--freq", "fast", "--with", "sdc"], "argument --freq: invalid float value: 'fast'"),
    ],
)
def test_bad_frequencies_are_one_line(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) if "fast" in arguments else pytest.MonkeyPatch.context():
        assert main(["generate", "4/4/4/6", "--out", str(tmp_path / "out"), *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.splitlines()[-1].count(message) == 1
    assert not (tmp_path / "out").exists() or not [*(tmp_path / "out").iterdir()]
