"""The commands of the quantizer: accuracy, export, and the regression of an exported model."""

import json

import pytest

from vsq.cli import main as vsq
from vsq.golden.io import layers

pytest.importorskip("torch")
pytest.importorskip("sklearn")


def test_accuracy_prints_and_keeps_scores(tmp_path, capsys):
    path = tmp_path / "scores.json"
    arguments = ["accuracy", "digits", "4/4U/4/6:R=6", "--json", str(path)]
    assert vsq.main(arguments) == 0
    assert "4/4U/4/6:R=6" in capsys.readouterr().out
    keys = json.loads(path.read_text())["scores"].keys()
    assert keys == {"fp32", "4/4U/4/6:R=6 ptq", "4/4U/fp/fp ptq", "4/4U/-/- ptq"}


def test_an_exported_model_becomes_streams(tmp_path, capsys):
    path = tmp_path / "digits.safetensors"
    assert vsq.main(["export", "digits", "4/4U/4/6", "--out", str(path), "--rows", "2"]) == 0
    assert "conv3" in capsys.readouterr().out
    read = layers.load(path)
    (stream,) = layers.streams(read, "conv*").values()
    results = [len(layer.result.acc.ravel()) for name, layer in read.items() if name != "fc"]
    assert int(stream.last.sum()) == sum(results) == 2 * (16 + 32 + 32)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["accuracy", "digitz"], "'digitz'"),
        (["regress", "4/4/4/6", "--workload", "integers.npz"], "leave out all others"),
        (["regress", "--workload", "absent.npz", "--sim", "icarus"], "absent.npz"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    assert vsq.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
