"""The command line: what it writes, and one clear line with exit code 2 for bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vsq.cli import main as vsq
from vsq.golden.contract.config import PRESETS, MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design

NAME = "vsq_mac_w4_a4u_ws4_as6_v8"


def test_generate_writes_verilog_manifest_and_vectors(tmp_path, capsys):
    assert vsq.main(["generate", "4/4U/4/6", "--vector-size", "8", "--vectors", "50", "--out", str(tmp_path)]) == 0
    suffixes = (".v", ".json", "_stimulus.memh", "_expected.memh", "_tb.v", "_vectors.npz")
    assert {path.name for path in tmp_path.iterdir()} == {NAME + suffix for suffix in suffixes}
    config = MacConfig.parse("4/4U/4/6", vector_size=8)
    assert (tmp_path / f"{NAME}.v").read_text() == design(config).verilog()
    assert json.loads((tmp_path / f"{NAME}.json").read_text())["configuration"] == "4/4U/4/6:V=8"
    with np.load(tmp_path / f"{NAME}_vectors.npz") as arrays:
        stream = Beats(**{name: column for name, column in arrays.items() if not name.startswith("expected_")})
        assert mac(config, **vars(stream)).acc.tolist() == arrays["expected_acc"].tolist()
    assert f"{NAME}.v" in capsys.readouterr().out


def test_generate_writes_a_processing_element(tmp_path, capsys):
    arguments = ["generate", "headline-u@lanes=4,weight_depth=8", "--pe", "--vector-size", "4", "--name", "element"]
    assert vsq.main([*arguments, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"element.v", "element.json"}
    about = json.loads((tmp_path / "element.json").read_text())
    assert about["configuration"] == "4/4U/4/6:V=4@weight_depth=8"
    assert "module element(" in (tmp_path / "element.v").read_text()
    assert "4/4U/4/6:V=4@weight_depth=8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "4/4"], "W/A/ws/as"),
        (["generate", "4/4/4/17"], "scale bits are 1 to 16"),
        (["generate", "1/4/4/4"], "write '1U'"),
        (["generate", "4/4/4/4", "--scale-product-bits", "9"], "4/4/4/4 has a scale product of 8 bits"),
        (["generate", "4/4/-/-", "--scale-product-bits", "3"], "no scale product to round"),
        (["generate", "2/2/1/1:R=1,round=truncate"], "becomes 0"),
        (["generate", "4/4/4/4", "--pipeline", "4"], "from 0 to 3"),
        (["generate", "4/4/4/4", "--accumulator-bits", "97"], "from 2 to 96"),
        (["generate", "4/4/4/4", "--accumulator-bits", "20", "--max-vectors", "2"], "give one of them"),
        (["generate", "4/4/4/4:R=4,R=5"], "given twice"),
        (["generate", "4/4/4/4:speed=9"], "is not one of"),
        (["generate", "headlin"], "did you mean headline"),
        (["generate", "4/4/4/6", "--name", "8bit"], "rename it"),
        (["generate", "4/4/4/6@lanes=24", "--pe"], "give a multiple of V"),
        (["generate", "4/4/4/6", "--pe", "--interface", "axis"], "plain ports alone"),
        (["area", "4/4/4/6", "--liberty", "missing.lib"], "missing.lib"),
        (["regress", "4/4/4/6", "--sim", "modelsim"], "modelsim"),
        (["regress", "--preset", "nothing"], "nothing"),
        (["regress", "--pe"], "write for example"),
        (["regress", "4/4/4/6@lanes=5"], "give a multiple of V"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert vsq.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert captured.err.startswith("vsq: error: ")
    assert message in captured.err
    assert not list(tmp_path.iterdir())


def test_a_switch_that_is_on_can_be_switched_off(tmp_path):
    """One whose default is on, and one that a preset has."""
    for config, option, name in (
        ("e4m3/e4m3/-/-:V=1", "--no-finite", "e4m3/e4m3/-/-:V=1,finite=0"),
        ("nvint4:V=1", "--no-narrow", "4/4/ue4m3/ue4m3:V=1"),
    ):
        assert vsq.main(["generate", config, option, "--name", "dut", "--out", str(tmp_path)]) == 0
        assert json.loads((tmp_path / "dut.json").read_text())["configuration"] == name


@pytest.mark.parametrize("arguments", [["nothing"], ["generate"], ["generate", "4/4/4/4", "--pipeline", "x"]])
def test_bad_usage_is_one_line_and_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        vsq.main(arguments)
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_presets_are_listed_and_doctor_reports(capsys, monkeypatch):
    assert vsq.main(["presets"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in PRESETS)
    monkeypatch.setattr("vsq.cli.start.probe", dict)  # tests/tb/test_doctor.py tries simulators
    assert vsq.main(["doctor"]) == 1
    assert "amaranth" in capsys.readouterr().out


def test_area_writes_its_report(tmp_path, capsys):
    report = tmp_path / "area.json"
    assert vsq.main(["area", "4/4/4/6:V=4", "--json", str(report)]) == 0
    printed = capsys.readouterr().out
    assert "4/4/4/6" in printed
    assert "V=4" in printed
    records = json.loads(report.read_text())["records"]
    assert {record["configuration"] for record in records} >= {"4/4/4/6:V=4"}


def test_interrupted_area_leaves_no_report(tmp_path):
    report = tmp_path / "area.json"
    command = [shutil.which("vsq") or "", "area", "8/8/-/-:V=32", "--json", str(report)]
    if not command[0]:
        command = [sys.executable, "-m", "vsq", *command[1:]]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    time.sleep(3)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors == "vsq: interrupted\n"
    assert not list(tmp_path.iterdir())
