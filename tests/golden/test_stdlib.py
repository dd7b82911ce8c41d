"""The language model of Python's standard library: its text, its score and its training, here of few steps."""

import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from vsq.golden.nn.quantize import quantize, quantized_layers
from vsq.golden.workloads import stdlib


@pytest.fixture
def untrained(monkeypatch):
    for name, value in {"STEPS": 2, "FURTHER_STEPS": 2, "EVALUATION": 40}.items():
        monkeypatch.setattr(stdlib, name, value)
    stdlib.load.cache_clear()
    yield
    stdlib.load.cache_clear()


def text(numbers):
    return "".join("?\n"[number] if number < 2 else chr(number + 30) for number in numbers.tolist())


def test_whole_files_are_held_out(untrained):
    data = stdlib.load(0)
    learned = text(data.characters)
    source = (Path(os.__file__).parent / "os.py").read_text()
    asked = {source[start : start + 65] in learned for start in range(0, len(source) - 65, 997)}
    assert len(asked) == 1  # all of the file is learned from, or none of it
    new = [text(window) not in learned for window in data.held_out]
    assert np.mean(new) > 0.9  # but for idioms, licences and blank lines
    assert not torch.equal(stdlib.load(1).held_out, data.held_out)


def test_characters_follow_from_those_before(untrained):
    model, windows = stdlib.workload().model(), stdlib.load().held_out
    changed = windows.clone()
    changed[:, 40] = (changed[:, 40] + 1) % stdlib.CHARACTERS
    with torch.no_grad():
        before, after = model(windows[:, :-1]), model(changed[:, :-1])
    assert before.shape == (40, 64, 97)
    torch.testing.assert_close(after[:, :40], before[:, :40])
    assert not torch.allclose(after[:, 40:], before[:, 40:], rtol=1e-3)


def test_the_score_is_the_share_of_right_characters(untrained):
    workload, windows = stdlib.workload(), stdlib.load().held_out
    says = torch.nn.functional.one_hot(torch.full((40, 64), 2), 97).float()
    assert workload.evaluate(lambda x: says[: len(x)]).value == (windows[:, 1:] == 2).double().mean().item()


def test_quantized_models_train(untrained):
    workload = stdlib.workload()
    model = quantize(workload.model(), "3/3/4/6", workload.calibrate, mode="qat")
    assert len(quantized_layers(model)) == 13
    before = [layer.weight.clone() for layer in quantized_layers(model).values()]
    workload.train(model)
    after = [layer.weight for layer in quantized_layers(model).values()]
    assert not any(torch.equal(*pair) for pair in zip(before, after, strict=True))
