"""The commands of the quantizer: accuracy, export, and the regression of an exported model."""

import json

import pytest

from vsq.cli import main as vsq
from vsq.golden.io import layers

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from vsq.golden.nn import accuracy


def test_accuracy_prints_and_keeps_scores(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(accuracy, "INPUTS", {"row": accuracy.INPUTS["row"]})
    path = tmp_path / "scores.json"
    arguments = ["accuracy", "digits", "4/4U/4/6:R=6", "--json", str(path)]
    assert vsq.main(arguments) == 0
    assert "4/4U/4/6:R=6" in capsys.readouterr().out
    keys = json.loads(path.read_text())["scores"].keys()
    baselines = {"4/4U/-/- ptq input_gamma=row", "4/4U/-/- ptq weight_scales=mmse, input_gamma=row"}
    assert keys == {"fp32", "4/4U/4/6:R=6 ptq", "4/4U/fp/fp ptq", *baselines}


def test_an_exported_model_becomes_streams(tmp_path, capsys):
    path = tmp_path / "digits.safetensors"
    assert vsq.main(["export", "digits", "4/4U/4/6", "--out", str(path), "--rows", "2"]) == 0
    assert "conv3" in capsys.readouterr().out
    read = layers.load(path)
    (stream,) = layers.streams(read, "conv*").values()
    results = [len(layer.result.acc.ravel()) for name, layer in read.items() if name != "fc"]
    assert int(stream.last.sum()) == sum(results) == 2 * (16 + 32 + 32)


def test_a_model_becomes_onnx(tmp_path, capsys):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    path = tmp_path / "digits.onnx"
    assert vsq.main(["export", "digits", "4/4U/4/6", "--out", str(path)]) == 0
    assert "conv3" in capsys.readouterr().out
    names = {each.name for each in onnx.load(path).graph.initializer}
    assert {f"{layer}.weight_codes" for layer in ("conv1", "conv2", "conv3", "fc")} <= names


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
