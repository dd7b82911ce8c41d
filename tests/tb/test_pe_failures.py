"""A failing regression of an element is recorded, replayed and shrunk; undefined ports and open bins are named."""

import re

import pytest
from amaranth.hdl import Const

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Loaded
from vsq.hw.emit.design import design
from vsq.hw.pe import ppu
from vsq.tb.failures.recording import Recording
from vsq.tb.interface.pe import PeInterface
from vsq.tb.regression.job import TOP, Job, run_jobs

CONFIG = PeConfig.parse("3/4/2/3:V=2,acc=12,style=behavioural@weight_depth=2,activation_depth=4,multiplier_bits=6")


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """Return the file of an element whose negative values pass the ReLU."""
    sound = ppu.Rescale._saturate
    monkeypatch.setattr(ppu.Rescale, "_saturate", lambda self, m, value, relu, z: sound(self, m, value, Const(0, 1), z))
    path = tmp_path / "broken.v"
    path.write_text(design(CONFIG).verilog("broken"))
    monkeypatch.undo()
    return path


@pytest.mark.slow
def test_a_failing_element_is_recorded_replayed_and_shrunk(broken, require_tool, tmp_path, capsys):
    for simulator in ("icarus", "verilator"):
        require_tool(simulator)
    out = tmp_path / "out"
    request = ["regress", CONFIG.full_name, "--dut", str(broken), "--sim", "icarus", "--beats", "80", "--seed", "4"]
    assert vsq.main([*request, "--out", str(out)]) == 1
    report = capsys.readouterr().out
    assert re.search(r"result \d+ \(command \d+, beat \d+\) is wrong\n +got +codes", report)
    assert re.search(r"relu=1\n  row \d, lane \d\n  vector 0 first.*: sw=\d sa=\d d=", report)
    [failure] = out.rglob("failure.npz")
    interface, recorded = PeInterface(CONFIG), Recording.load(failure)
    count = len(interface.stimulus(recorded.streams).commands)
    assert count > 2
    assert recorded.config == CONFIG.full_name

    again = tmp_path / "again"
    assert vsq.main(["regress", "--reproduce", str(failure), "--out", str(again)]) == 1
    report = capsys.readouterr().out
    assert f"{count} command, " in report
    assert "the same RTL as recorded" in report
    assert re.search(rf"shrunk from {count} command, .* to [12] command, ", report.replace("\n", " "))
    [path] = again.rglob("minimal.npz")
    minimal = interface.stimulus(Recording.load(path).streams)
    assert minimal.commands[-1].relu
    assert (minimal.params.bias < 0).sum() == 1  # of one lane, the least that is wrong
    assert not minimal.weights.codes.any()
    assert list(again.rglob("*.fst")) + list(again.rglob("*.vcd"))

    (failure.parent / f"{TOP}.v").write_text(design(CONFIG).verilog(TOP))
    assert vsq.main(["regress", "--reproduce", str(failure), "--out", str(tmp_path / "mended")]) == 0
    assert "another RTL than recorded" in capsys.readouterr().out


def test_commands_that_remain_take_what_they_load():
    """Of three commands the second one uses what the first one loads: alone it is illegal, and takes nothing."""
    interface = PeInterface(CONFIG)
    columns = {
        "rows": [1, 2, 1],
        "vectors": [1, 1, 2],
        "load_weights": [1, 0, 1],
        "load_activations": [1, 1, 1],
        "load_params": [0, 0, 0],
        "requantize": [0, 0, 0],
        "relu": [0, 0, 0],
    }
    commands = interface.inputs["command"].columns(list(zip(*columns.values(), strict=True)))
    counts = {"weights": 6, "activations": 5, "lane_params": 0}
    streams = {"command": commands} | {
        stream: interface.inputs[stream].columns(
            [(number,) * len(interface.inputs[stream].fields) for number in [0] * n]
        )
        for stream, n in counts.items()
    }
    spans = interface.transactions(streams)
    assert [span["weights"] for span in spans] == [slice(0, 2), slice(2, 2), slice(2, 6)]
    assert [span["activations"] for span in spans] == [slice(0, 1), slice(1, 3), slice(3, 5)]
    chosen = {name: places.tolist() for name, places in interface.chosen(streams, spans[1:]).items()}
    assert chosen == {"command": [1, 2], "weights": [2, 3, 4, 5], "activations": [3, 4], "lane_params": []}
    shorter = [spans[0], {**spans[2], "weights": slice(2, 5)}]
    assert interface.chosen(streams, shorter) is None
    assert Loaded(CONFIG).beats(interface.commands(commands)[1])["activations"] == 0


def test_an_undefined_handshake_names_port_and_cycle(require_tool, tmp_path, capsys):
    require_tool("icarus")
    config = MacConfig.parse("4/4/4/6:V=2")
    verilog, count = re.subn("valid0 <= 1'b0;", "valid0 <= valid0;", design(config).verilog("unreset"))
    assert count == 1
    path = tmp_path / "unreset.v"
    path.write_text(verilog)
    request = ["regress", config.full_name, "--dut", str(path), "--sim", "icarus", "--beats", "10", "--seed", "4"]
    assert vsq.main([*request, "--out", str(tmp_path / "out")]) == 1
    assert "cycle 0: out_valid is undefined (X)" in capsys.readouterr().out


@pytest.mark.slow
def test_an_element_that_cannot_reach_a_bin_fails(require_tool, monkeypatch, tmp_path):
    require_tool("icarus")
    (tmp_path / "sitecustomize.py").write_text(
        "from vsq.tb.coverage import pe, points\n"
        "pe.POINTS += (points.Point('cp_planted', 'nothing', lambda traffic: {'out of reach': 0}),)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    job = Job(config=CONFIG.full_name, simulator="icarus", seed=4, beats=20, waves=False)
    [(_, result)] = run_jobs([job], tmp_path / "jobs", workers=1)
    assert {outcome.name for outcome in result.outcomes if outcome.failure} == {"coverage"}
    [failure] = [outcome.failure for outcome in result.outcomes if outcome.failure]
    assert failure.splitlines()[1:] == ["cp_planted: out of reach"]
