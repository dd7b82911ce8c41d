import stat

import pytest

from vsq.golden.contract.errors import InputError
from vsq.tb.simulation import simulators


def fake(folder, name, output):
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{output}'\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """An otherwise empty PATH, and no wheel."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin")
    monkeypatch.setattr(simulators, "_wheel", lambda: None)
    monkeypatch.setattr(
        simulators.shutil, "which", lambda name: str(folder / name) if (folder / name).exists() else None
    )
    return folder


def test_unknown_simulator():
    with pytest.raises(InputError, match="simulator 'modelsim': choose among verilator, icarus"):
        simulators.find("modelsim")


@pytest.mark.parametrize(("name", "minimum"), [("verilator", r"5\.36"), ("icarus", r"11\.0")])
def test_missing_simulator_names_the_minimum_and_the_mend(tools, name, minimum):
    with pytest.raises(
        InputError, match=rf"simulator {name}: not found, {minimum} or newer is needed; .*install"
    ) as error:
        simulators.find(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "program", "output", "version"),
    [
        ("verilator", "verilator", "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)", r"5\.006"),
        ("icarus", "iverilog", "Icarus Verilog version 10.3 (stable) ()", r"10\.3"),
        ("icarus", "iverilog", "who knows", "unknown"),
    ],
)
def test_old_simulator(tools, name, program, output, version):
    fake(tools, program, output)
    with pytest.raises(InputError, match=rf"simulator {name}: .*{program} is version {version}, .* or newer is needed"):
        simulators.find(name)


def test_recent_simulator_without_a_program_that_it_calls(tools):
    path = fake(tools, "iverilog", "Icarus Verilog version 12.0 (stable) ()")
    with pytest.raises(InputError, match="simulator icarus: the program vvp that it calls is missing"):
        simulators.find("icarus")
    fake(tools, "vvp", "")
    found = simulators.find("icarus")
    assert (found.version, found.executable) == ("12.0", path)
    assert found.environment()["PATH"].startswith(str(tools))


def test_no_cocotb(monkeypatch):
    monkeypatch.setattr(simulators.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="cocotb, which drives it, is not installed; pip install"):
        simulators.find("icarus")


def test_probe_collects_the_errors(tools):
    fake(tools, "iverilog", "Icarus Verilog version 11.0 (stable) ()")
    fake(tools, "vvp", "")
    found = simulators.probe()
    assert isinstance(found["verilator"], InputError)
    assert isinstance(found["icarus"], simulators.Simulator)
