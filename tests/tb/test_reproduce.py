"""A failure is recorded, replayed with waves, and shrunk to a minimal stream."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.stimulus.stream import beats, complete
from vsq.hw.emit.design import design
from vsq.tb.failures.recording import Recording
from vsq.tb.failures.reproduce import reproduce, shrink
from vsq.tb.interface.base import length
from vsq.tb.interface.mac import MacInterface
from vsq.tb.interface.pace import Pace, flowing, random_bursts
from vsq.tb.regression.job import TOP, Job
from vsq.tb.regression.run import run

CONFIG = MacConfig.parse("4/4/4/6:V=4,R=6")
EVEN = MacConfig.parse("4/4/4/6:V=4,R=6,round=half_even")


def equal(a, b):
    """Whether recorded streams have the same beats."""
    assert {stream: set(columns) for stream, columns in a.items()} == {
        stream: set(columns) for stream, columns in b.items()
    }
    return all(np.array_equal(column, b[stream][name]) for stream in a for name, column in a[stream].items())


def streams(config, beats):
    return MacInterface(config).streams(beats)


def drawn(config, beats, sending, taking):
    about = {"config": config.full_name, "seed": 7, "simulator": "icarus", "rtl": "ab"}
    return Recording.drawn(streams(config, beats), {"in": sending}, taking, **about)


def recorded(config, count):
    rng = np.random.default_rng(1)
    return drawn(config, beats(config, count, 1), random_bursts(rng), random_bursts(rng))


@pytest.mark.parametrize("text", ["4/4/4/6:V=4", "8/8/-/-"])
def test_a_recording_is_read_as_it_was_written(text, tmp_path):
    recording = recorded(MacConfig.parse(text), 300)
    recording.save(tmp_path / "failure.npz")
    read = Recording.load(tmp_path / "failure.npz")
    assert equal(read.streams, recording.streams)
    assert [getattr(read, name) for name in ("config", "seed", "simulator", "rtl")] == [text, 7, "icarus", "ab"]
    assert read.sending == recording.sending
    assert read.taking == recording.taking


def test_bursts_as_a_pace():
    stream = beats(CONFIG, 5, 1)
    bursts = {"in": [(3, 2), (1, 1)]}
    recording = Recording(config="", streams=streams(CONFIG, stream), sending=bursts, taking=[(1, 2), (2, 1)])
    pace = recording.pace()
    assert pace.pauses["in"].tolist() == [3, 0, 1, 0, 0]
    assert pace.taking.tolist() == [False, True, True, False, False, True]
    assert pace.bursts()[1] == recording.taking
    assert drawn(CONFIG, stream, flowing(), flowing()).pace() is None
    sending, taking = recording.bursts()
    assert [next(sending["in"]) for _ in range(3)] == [(3, 2), (1, 1), (0, 64)]
    assert [next(taking) for _ in range(3)] == [(1, 2), (2, 1), (0, 64)]


@pytest.mark.parametrize("content", [None, b"", b"PK", b"text"])
def test_no_recording(content, tmp_path):
    path = tmp_path / "failure.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"failure\.npz: no recording .*; give the failure\.npz") as error:
        Recording.load(path)
    assert "\n" not in str(error.value)


def test_a_file_of_something_else_is_no_recording(tmp_path):
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(InputError, match="no recording"):
        Recording.load(tmp_path / "other.npz")


@pytest.mark.parametrize("lost", ["in.weights", "in.last"])
def test_a_recording_that_lacks_a_field_is_refused(lost, tmp_path, capsys):
    recorded(CONFIG, 300).save(path := tmp_path / "failure.npz")
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files if name != lost}
    np.savez(path, **kept)
    assert vsq.main(["regress", "--reproduce", str(path), "--out", str(tmp_path / "out")]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"no recording of {CONFIG.full_name} (stream in: KeyError '{lost[3:]}')" in line


@pytest.mark.parametrize("options", [["missing.npz"], ["missing.npz", "4/4/4/6"]])
def test_bad_requests_to_reproduce(options, capsys):
    assert vsq.main(["regress", "--reproduce", *options]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert ("no recording" if len(options) == 1 else "the file names the configurations") in line


@pytest.mark.slow
def test_a_failed_job_is_replayed_and_shrunk(require_tool, tmp_path):
    for simulator in ("icarus", "verilator"):
        require_tool(simulator)
    planted = design(EVEN).verilog(TOP)
    job = Job(config=CONFIG.full_name, simulator="icarus", seed=9, beats=300, verilog=planted, waves=False)
    screen, out = io.StringIO(), tmp_path / "out"
    assert run([job], workers=1, out=out, console=Console(file=screen, width=150)).exit_code == 1
    failure = out / "run-1" / "failures" / job.name / "failure.npz"
    assert f"vsq regress --reproduce {failure}" in screen.getvalue()
    assert length(Recording.load(failure).streams["in"]) == len(complete(CONFIG, 300, 9))

    screen, again = io.StringIO(), tmp_path / "again"
    assert reproduce(failure, out=again, console=Console(file=screen, width=150)) == 1
    report = screen.getvalue()
    assert f"{len(complete(CONFIG, 300, 9))} recorded beats, seed 9, the same RTL as recorded" in report
    assert list(again.rglob("*.fst")) + list(again.rglob("*.vcd"))
    minimal = MacInterface(CONFIG).stimulus(Recording.load(again / "run-1" / "minimal.npz").streams)
    assert len(minimal) == 1
    # One product is odd, and the scale product is the smallest tie that the two roundings tell apart: r = 1 or 0.
    assert np.abs(minimal.weights * minimal.activations).sum() == 1
    assert (minimal.weight_scales * minimal.activation_scales).tolist() == [8]
    assert f"shrunk from {len(complete(CONFIG, 300, 9))} beats to 1" in report
    assert "p=8 r=1" in report.partition("shrunk from")[2]

    (failure.parent / f"{TOP}.v").write_text(design(CONFIG).verilog(TOP))
    screen = io.StringIO()
    assert reproduce(failure, out=tmp_path / "mended", console=Console(file=screen, width=150)) == 0
    assert "another RTL than recorded" in screen.getvalue()


STALLED = """
module dut(input clk, input rst, input in_valid, input [15:0] in_weights, input [15:0] in_activations,
  input [3:0] in_weight_scale, input [5:0] in_activation_scale, input in_first, input in_last, input out_ready,
  output in_ready, output out_valid, output [{high}:0] out_acc, output out_overflow);
  wire [{high}:0] acc;
  reg stalled;  // since three cycles
  reg [1:0] earlier;
  always @(posedge clk) {{stalled, earlier}} <= {{earlier, out_valid & !out_ready}};
  sound inner(.clk(clk), .rst(rst), .in_valid(in_valid), .in_weights(in_weights), .in_activations(in_activations),
    .in_weight_scale(in_weight_scale), .in_activation_scale(in_activation_scale), .in_first(in_first),
    .in_last(in_last), .out_ready(out_ready), .in_ready(in_ready), .out_valid(out_valid), .out_acc(acc),
    .out_overflow(out_overflow));
  assign out_acc = acc ^ (stalled & earlier[0] & earlier[1] & out_valid);
endmodule
"""


@pytest.mark.slow
def test_a_failure_that_needs_pauses_keeps_only_those(require_tool):
    require_tool("verilator")
    sound = design(CONFIG).verilog(TOP).replace(f"module {TOP}(", "module sound(")
    rng = np.random.default_rng(2)
    pace = Pace(pauses={"in": rng.integers(0, 3, 100)}, taking=rng.random(400) < 0.4)
    minimal = shrink(
        CONFIG, streams(CONFIG, beats(CONFIG, 100, 2)), pace, sound + STALLED.format(high=CONFIG.acc_bits - 1)
    )
    assert minimal.pace.taking.tolist().count(False) == 3
    assert not minimal.pace.pauses["in"].any()
    left = minimal.streams["in"]
    assert length(left) <= 2
    assert left["last"][-1]
    assert not left["weights"].any()
    assert shrink(CONFIG, streams(CONFIG, beats(CONFIG, 100, 2)), pace, design(CONFIG).verilog(TOP)) is None


@pytest.mark.slow
def test_a_failure_that_takes_hundreds_of_beats_is_shrunk(require_tool):
    """More numbers than hypothesis takes: whole runs of beats are dropped, and what is left fails."""
    require_tool("verilator")
    config = MacConfig.parse("4/4U/4/6:V=3")
    unlimited = re.sub(r"wire exceeds = [^;]*;", "wire exceeds = 1'h0;", design(config).verilog(TOP))
    stream = complete(config, 60, 11)
    minimal = shrink(config, streams(config, stream), None, unlimited)
    assert 100 < length(minimal.streams["in"]) < len(stream)
    assert minimal.failure
