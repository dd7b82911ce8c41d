"""The accuracy report: what it measures, keeps, draws and refuses; and the digits network's scores."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError
from vsq.golden.io import charts

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from vsq.golden.nn import accuracy
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import quantize
from vsq.golden.workloads import workload


@pytest.fixture(scope="module")
def digits():
    return workload.load("digits")


def configs(*names):
    return [MacConfig.parse(name) for name in names]


def counting(task):
    """Return the task and a list that grows with each evaluation."""
    calls = []

    def evaluate(model):
        calls.append(model)
        return task.evaluate(model)

    return replace(task, evaluate=evaluate), calls


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
    with pytest.raises(InputError, match="no file of scores"):
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


@pytest.fixture
def report():
    row = accuracy.AccuracyRow(config="4/4U/4/6", mode="ptq", per_vector=0.975, float_scales=0.98, per_channel=0.925)
    return accuracy.AccuracyReport(task="digits", metric="accuracy", float_score=0.99, rows=[row])


def test_the_table_shows_both_kinds_of_scales(report):
    console = Console(file=io.StringIO(), width=100)
    console.print(report.table())
    for word in ("4/4U/4/6", "0.9750", "0.9800", "0.9250", "+0.0500", "0.9900"):
        assert word in console.file.getvalue()


def test_the_plot_shows_every_score(report, tmp_path):
    """Rendered, since a chart that Vega refuses is saved as a page without a word."""
    charts.save(report.chart(), tmp_path / "scores.svg")
    picture = (tmp_path / "scores.svg").read_text()
    for title, score in (("per-vector", "0.9750"), ("fp32 scales", "0.9800"), ("per-channel", "0.9250")):
        assert f"scales: {title}; configuration: 4/4U/4/6; mode: ptq; accuracy: {score}" in picture
    assert "model: fp32; accuracy: 0.9900" in picture
    assert "digits: accuracy" in picture


def test_a_plot_without_its_packages_is_refused_before_anything_is_measured(report, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(workload, "load", lambda name: pytest.fail("loaded"))
    monkeypatch.setattr(charts, "find_spec", lambda name: None)
    assert vsq.main(["accuracy", "digits", "--plot", str(tmp_path / "scores.png")]) == 2
    assert f"vl-convert-python is not installed; {install('altair')}" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"scores\.jpg: the suffix chooses the format; end the name in one of .html"):
        charts.save(report.chart(), tmp_path / "scores.jpg")
    assert list(tmp_path.iterdir()) == []


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


def test_workloads_are_found_by_name(digits):
    with pytest.raises(InputError, match=r"'digit'.*did you mean digits"):
        workload.load("digit")
    with pytest.raises(InputError, match="give it a chain"):
        replace(digits, chain=workload.Workload.chain).chain()
    with pytest.raises(InputError, match="no training"):
        accuracy.measure(replace(digits, train=None), configs("4/4U/4/6"), modes=["qat"])
