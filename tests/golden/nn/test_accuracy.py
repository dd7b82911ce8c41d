"""The accuracy report: what it measures, keeps, draws and refuses; and the digits network's scores."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from vsq.golden.nn.evaluation import accuracy, tasks  # noqa: E402
from vsq.golden.nn.planes.splitquant import split_model  # noqa: E402
from vsq.golden.nn.quantize import quantize  # noqa: E402


@pytest.fixture(scope="module")
def digits():
    return tasks.load("digits")


def configs(*names):
    return [MacConfig.parse(name) for name in names]


def counting(task):
    """Return the task and a list that grows with each evaluation."""
    calls = []

    def evaluate(model):
        calls.append(model)
        return task.evaluate(model)

    return replace(task, evaluate=evaluate), calls


def test_the_module_is_the_network(digits):
    from vsq.golden.workloads import digits as workload

    assert digits.evaluate(digits.model()) == workload.load().fp32_accuracy


def test_three_bits_and_two_bits_after_training(digits):
    """Per-vector scales are better than per-channel ones, and training never costs more than half a point."""
    report = accuracy.measure(digits, configs("3/3U/4/4"))
    (ptq,) = report.rows
    assert ptq.per_vector > ptq.per_channel
    assert ptq.per_vector > report.float_score - 0.02
    model = quantize(digits.model(), "2/4U/4/4", digits.calibrate, mode="qat")
    before = digits.evaluate(model)
    digits.train(model)
    assert digits.evaluate(model) >= max(before - 0.005, 0.95)


def test_splitting_improves_two_bit_weights(digits):
    plain = digits.evaluate(quantize(digits.model(), "2/8U/-/-", digits.calibrate))
    split = digits.evaluate(quantize(split_model(digits.model()), "2/8U/-/-", digits.calibrate))
    assert split > plain + 0.2
    report = accuracy.measure(digits, configs("2/8U/-/-"), split=True)
    assert report.rows[0].per_vector == report.rows[0].per_channel == split


def test_scores_are_kept_and_taken_up_again(digits, tmp_path):
    path = tmp_path / "scores.json"
    task, calls = counting(digits)
    first = accuracy.measure(task, configs("4/4U/4/6"), path=path)
    assert len(calls) == 4  # float, and three kinds of scales
    again = accuracy.measure(task, configs("4/4U/4/6", "4/4U/4/6:R=4"), path=path)
    assert len(calls) == 5
    assert again.rows[0] == first.rows[0]
    assert json.loads(path.read_text())["scores"]["4/4U/-/- ptq"] == first.rows[0].per_channel
    with pytest.raises(InputError, match="its split is False, not True"):
        accuracy.measure(task, configs("4/4U/4/6"), split=True, path=path)
    path.write_text("[]")
    with pytest.raises(InputError, match="no file of accuracies"):
        accuracy.measure(task, configs("4/4U/4/6"), path=path)


def test_an_interrupted_run_keeps_what_it_has(digits, tmp_path):
    path = tmp_path / "scores.json"
    task, calls = counting(digits)

    def evaluate(model):
        if len(calls) == 2:
            raise KeyboardInterrupt
        return task.evaluate(model)

    with pytest.raises(KeyboardInterrupt):
        accuracy.measure(replace(task, evaluate=evaluate), configs("4/4U/4/6"), path=path)
    assert len(json.loads(path.read_text())["scores"]) == 2


def test_the_table_shows_both_kinds_of_scales(digits, tmp_path):
    report = accuracy.Report(
        task="digits",
        metric="accuracy",
        float_score=0.99,
        rows=[accuracy.Row(config="4/4U/4/6", mode="ptq", per_vector=0.975, float_scales=0.98, per_channel=0.925)],
    )
    console = Console(file=io.StringIO(), width=100)
    console.print(report.table())
    for word in ("4/4U/4/6", "0.9750", "0.9800", "0.9250", "+0.0500", "0.9900"):
        assert word in console.file.getvalue()
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        with pytest.raises(InputError, match="matplotlib"):
            report.plot(tmp_path / "scores.svg")
    else:
        report.plot(tmp_path / "scores.svg")
        assert "<svg" in (tmp_path / "scores.svg").read_text()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"modes": ["qta"]}, "mode 'qta': choose one of ptq, qat"),
        ({"calibration": "min"}, "calibration 'min': choose one of max"),
        ({"input_gamma": "max"}, "input gamma 'max': choose one of static"),
    ],
)
def test_bad_options_are_refused(digits, options, match):
    with pytest.raises(InputError, match=match):
        accuracy.measure(digits, configs("4/4U/4/6"), **options)


def test_tasks_are_found_by_name(digits):
    with pytest.raises(InputError, match=r"'digit'.*did you mean digits"):
        tasks.load("digit")
    with pytest.raises(InputError, match="no training"):
        accuracy.measure(replace(digits, train=None), configs("4/4U/4/6"), modes=["qat"])
