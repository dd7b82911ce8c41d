"""The command line refuses before it works, and ends quietly where its output goes nowhere."""

import os
import subprocess
import sys

import pytest

from vsq.cli import main as vsq
from vsq.cli import networks
from vsq.golden.contract.errors import InputError
from vsq.golden.io import charts, layers
from vsq.golden.nn.quantize import Mode
from vsq.golden.quantizer.core import ScaleRule
from vsq.golden.quantizer.scheme import Calibration, InputGamma, WeightScales
from vsq.golden.workloads.digits import TEST_IMAGES
from vsq.hw.emit.emission import KEYWORDS, MAX_LENGTH, checked

GENERATE = ["generate", "4/4/4/6:V=1"]
ENERGY = ["energy", "4/4/4/6", "--liberty", "cells.lib"]
ACCURACY = ["accuracy", "digits"]
MX = "e2m1/e2m1/e8m0/e8m0:V=32"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*GENERATE, "--seed", "-1"], "'-1' is not a whole number from 0"),
        (["regress", "4/4/4/6", "--seed", "-1"], "'-1' is not a whole number from 0"),
        ([*GENERATE, "--vectors", "999999999999"], "more than 1,000,000"),
        *(([*ENERGY, "--slew", slew], f"{slew!r} is not a number above 0") for slew in ("-1", "nan", "1e30", "0", "x")),
        ([*GENERATE, "--seed", 5000 * "9"], f"{40 * '9'!r} is not a whole number from 0"),
        *((["regress", "4/4/4/6", option, ""], "the text is empty") for option in ("--preset", "--dut", "--workload")),
        (["regress", "--reproduce", ""], "the text is empty"),
        ([*ACCURACY, "--mode", "ptq,qta"], "'qta' is not one of ptq, qat"),
        ([*ACCURACY, "--plot", "x.foo"], "'x.foo' does not end in one of .html, .svg, .png"),
        ([*ACCURACY, "--plot", ".."], "'..' does not end in"),
        *(
            ([*ACCURACY, "--json", text], message)
            for text, message in (("", "the text is empty"), ("..", "is a folder"))
        ),
        (["area", "4/4/4/6", "--json", f"{__file__}/x.json"], f"{__file__} is a file; give another folder"),
        ([*ENERGY, "--json", ""], "the text is empty"),
        (["export", "digits", "4/4/4/6", "--out", "x.txt"], "'x.txt' does not end in one of .safetensors, .npz"),
        *(
            ([*one, "--out", __file__], f"{__file__} is a file")
            for one in (GENERATE, ["regress"], ["verify", "4/4/4/6"])
        ),
        *(([one, "--out", f"{__file__}/x/y"], f"{__file__} is a file; give") for one in ("demo", "report")),
        ([*GENERATE, "--out", ""], "the text is empty"),
        ([*GENERATE, "--name", ""], "the text is empty"),
        ([*ACCURACY, "--input-gamma", "rows"], "invalid choice: 'rows'"),
        ([*ACCURACY, "--calibration", "best"], "invalid choice: 'best'"),
    ],
)
def test_options_are_checked_before_any_work(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        vsq.main(arguments)
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_the_names_of_options_are_those_of_the_code_that_they_choose():
    names = networks.MODES, networks.INPUT_GAMMAS, networks.CALIBRATIONS, networks.WEIGHT_SCALES, networks.SCALE_RULES
    enums = Mode, InputGamma, Calibration, WeightScales, ScaleRule
    assert [set(one) for one in names] == [set(map(str, enum)) for enum in enums]
    assert networks.PICTURES == charts.SUFFIXES
    assert set(networks.CONTAINERS) == set(layers.CONTAINERS)


def test_more_images_than_there_are(capsys, require_tool):
    require_tool("icarus")
    arguments = ["network", "digits", "4/4U/4/6", "--sim", "icarus", "--images", str(TEST_IMAGES + 1)]
    assert vsq.main(arguments) == 2
    assert f"{TEST_IMAGES + 1} images: there are {TEST_IMAGES}; ask for no more" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["reg", "always_ff", "logic", "x" * (MAX_LENGTH + 1), "x" * 260, "8bit", "a-b", ""])
def test_names_that_no_module_may_have(name):
    with pytest.raises(InputError, match=r"rename it|shorten it") as error:
        checked(name)
    assert len(str(error.value)) < 120


@pytest.mark.parametrize(
    "arguments",
    [["generate", MX], ["area", MX], ["regress", MX], ["verify", MX]],
    ids=lambda arguments: arguments[0],
)
def test_exponents_without_a_window(arguments, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert vsq.main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "an exact accumulator for scales e8m0 would take hundreds of bits; give a window, as in window=48"
    )
    assert not list(tmp_path.iterdir())


def test_names_that_a_module_may_have():
    for name in ("mac", "reg_", "Reg", "_1", "x" * MAX_LENGTH):
        assert checked(name) == name
    assert len(KEYWORDS) == 248  # of IEEE 1800-2017, which has all of 1364-2005


@pytest.mark.parametrize(("name", "rule"), [("reg", "a reserved word"), ("CCU2C", "a cell of ECP5")])
def test_a_name_with_a_meaning_writes_nothing(name, rule, capsys, tmp_path):
    assert vsq.main([*GENERATE, "--name", name, "--vectors", "5", "--out", str(tmp_path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"name {name!r}: it is {rule}" in line
    assert not list(tmp_path.iterdir())


def test_no_command_shows_the_help(capsys):
    assert vsq.main([]) == 0
    assert "usage: vsq" in capsys.readouterr().out


def test_an_at_sign_names_a_processing_element(tmp_path):
    assert vsq.main(["generate", "4/4/4/6:V=2@lanes=2", "--name", "element", "--out", str(tmp_path)]) == 0
    assert '"result_' in (tmp_path / "element.json").read_text()


def test_a_design_is_written_as_a_whole_or_not_at_all(tmp_path, capsys):
    arguments = ["generate", "2/2/-/-:V=1", "--name", "m", "--with", "core, sdc", "--out", str(tmp_path)]
    (tmp_path / "m.sdc").mkdir()
    assert vsq.main(arguments) == 2
    assert "m.sdc: cannot be written (it is a folder)" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m.sdc"]
    (tmp_path / "m.sdc").rmdir()
    assert vsq.main(arguments) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.core", "m.json", "m.sdc", "m.v"]


def command(*arguments):
    return [sys.executable, "-P", "-m", "vsq", *arguments]


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(command("presets"), stdout=theirs, stderr=subprocess.PIPE, text=True, check=False)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("presets"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "vsq: error: standard output: cannot be written (No space left on device); free some space\n"


def test_a_closed_output_is_no_error():
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *command("presets")], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["area", "2/2/2/2:V=2", "2/2/2/2:V=2@lanes=2"], "2/2/2/2:V=2 and 2/2/2/2:V=2@: a vector MAC is not"),
        ([*GENERATE, "--out", 300 * "x"], "cannot be written (File name too long); shorten it"),
        (["area", "4/4/4/6", "--json", f"{300 * 'x'}.json"], "cannot be written (File name too long); shorten it"),
        (["regress", "4/4/4/6", "--layer", "conv1"], "--layer conv1: it is of a workload"),
        *(
            (
                ["regress", "--reproduce", "failure.npz", option, "1"],
                f"--reproduce: its file is replayed as it is; leave out {option}",
            )
            for option in ("--sim", "--beats", "--seed", "--jobs", "--workload")
        ),
        (["regress", "--workload", "layers.npz", "--beats", "9"], "--workload: its file is replayed as it is"),
        (["area", "4/4/4/6", "--timing"], "no timing groups"),
        (["area", "4/4/4/6", "--dont-use", "NAND9"], "dont-use 'NAND9': no cell of Liberty file"),
        (["area", "4/4/4/6", "--dont-use", "*"], "dont-use *: no cell of Liberty file"),
        (["area", "4/4/4/6", "--goal", "delay", "--sweep-goal"], "--goal delay: --sweep-goal takes every goal"),
        (["generate", "4/4/4/6:reset="], "option reset has no value; write for example reset=sync"),
        (
            ["generate", "4/4/4/6", "--name", "Cfu", "--with", "cfu"],
            "name 'Cfu': the custom function unit is called so",
        ),
        (
            ["generate", "4/4/4/6", "--seed", "5"],
            "--seed 5: it draws test vectors, and there are none; give --vectors too",
        ),
        (["generate", "4/4/4/6", "--name", "in_valid"], "name 'in_valid': a port of the design is called so"),
        (["generate", "4/4/4/6:reset_polarity=low", "--name", "rst_n"], "name 'rst_n': a port of the design"),
        (["report", "4/4/4/6", "--dont-use", "NAND2"], "give it by --liberty, or leave out --dont-use"),
        (["report", "--data", "nope"], "--data nope: energy needs a library with power"),
        (["export", "digits", "4/4/4/6@lanes=2", "--out", "x.npz"], "a vector MAC is needed; write '4/4/4/6'"),
        (["network", "digits", "4/4U/4/6:V=2@lanes=2,ppu=off"], "it has no post-processing"),
        (["area", "٤/4/4/6:V=2"], "an element format is a number of bits"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments, message, capsys):
    assert vsq.main(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert message in line
