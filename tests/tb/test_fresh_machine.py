"""A machine as a newcomer has it: no ``python`` on PATH, or another one first."""

import os
import subprocess
from pathlib import Path

import pytest

from vsq.tb.regression.job import module
from vsq.tb.simulation import build
from vsq.tb.simulation.simulators import find

pytestmark = pytest.mark.slow


def no_python(folder):
    """Every program on PATH but those called python and more."""
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else []:
            link = folder / program.name
            if not program.name.startswith("python") and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def another_python(folder):
    """A ``python`` that fails, before all other programs."""
    for name in ("python", "python3"):
        (folder / name).write_text("#!/bin/sh\necho 'AssertionError: SRE module mismatch' >&2\nexit 1\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(params=[no_python, another_python])
def bare_path(request, require_tool, tmp_path, monkeypatch):
    require_tool("verilator")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", request.param(folder))


def test_verilator_builds_and_simulates_under_cocotb(bare_path, tmp_path):
    folder = tmp_path / "trial"
    folder.mkdir()
    command = module("vsq.tb.simulation.trial", "verilator", folder)
    done = subprocess.run(**command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_verilator_builds_for_playback(bare_path, tmp_path):
    (tmp_path / "dut.v").write_text("module dut(input d, output q); assign q = ~d; endmodule\n")
    verilator = find("verilator")
    build.call(verilator, [str(verilator.executable), "--cc", "--build", "dut.v"], tmp_path)
    assert (tmp_path / "obj_dir" / "libVdut.a").exists()
