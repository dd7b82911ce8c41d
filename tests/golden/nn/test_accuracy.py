"""The accuracy report: what it measures, keeps, draws and refuses; and the digits network's scores."""

import copy
import io
import json
from dataclasses import replace

import numpy as np
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
from vsq.golden.nn.accuracy_report import AccuracyReport, AccuracyRow
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import quantize
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.workloads import workload
from vsq.golden.workloads.metrics import Score, mean

FEW = {name: accuracy.INPUTS[name] for name in ("max", "row")}  # choices of the baseline where they do not matter
CHOICES = len(accuracy.WEIGHTS) * len(FEW)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(accuracy, "INPUTS", FEW)


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


def test_three_bits_and_two_bits_after_training(digits, few):
    """Per-vector scales are better than per-channel ones, and training never costs more than half a point."""
    report = accuracy.measure(digits, configs("3/3U/4/4"))
    (ptq,) = report.rows
    assert ptq.per_vector["accuracy"].value > report.float_scores["accuracy"].value - 0.02
    model = quantize(digits.model(), "2/4U/4/4", digits.calibrate, mode="qat")
    before = digits.evaluate(model).value
    digits.train(model)
    assert digits.evaluate(model).value >= max(before - 0.005, 0.95)


def test_splitting_improves_two_bit_weights(digits, few):
    plain = digits.evaluate(quantize(digits.model(), "2/8U/-/-", digits.calibrate))
    split = digits.evaluate(quantize(split_model(digits.model()), "2/8U/-/-", digits.calibrate))
    assert split.value > plain.value + 0.2
    report = accuracy.measure(digits, configs("2/8U/-/-"), split=True)
    assert report.rows[0].per_vector == {"accuracy": split}


def test_scores_are_kept_and_taken_up_again(digits, few, tmp_path):
    path = tmp_path / "scores.json"
    task, calls = counting(digits)
    first = accuracy.measure(task, configs("4/4U/4/6"), path=path)
    assert len(calls) == 3 + CHOICES  # float, per-vector and float scales, and the baselines
    again = accuracy.measure(task, configs("4/4U/4/6", "4/4U/4/6:R=4"), path=path)
    assert len(calls) == 4 + CHOICES
    assert again.rows[0] == first.rows[0]
    found = first.rows[0].per_vector["accuracy"]
    scores = json.loads(path.read_text())["scores"]
    assert scores["4/4U/4/6 ptq"] == {"accuracy": {"value": found.value, "error": found.error}}
    with pytest.raises(InputError, match="its split is False, not True"):
        accuracy.measure(task, configs("4/4U/4/6"), split=True, path=path)
    for content in ([], json.loads(path.read_text()) | {"scores": {"fp32": 0.98}}):  # numbers alone, as once
        path.write_text(json.dumps(content))
        with pytest.raises(InputError, match="no file of scores; choose another name, or remove it"):
            accuracy.measure(task, configs("4/4U/4/6"), path=path)


@pytest.mark.slow
def test_several_processes_give_the_same_scores(digits, few, tmp_path):
    path = tmp_path / "scores.json"
    report = accuracy.measure(digits, configs("3/3U/4/4"), jobs=2, path=path)
    assert len(json.loads(path.read_text())["scores"]) == 3 + CHOICES
    assert accuracy.measure(digits, configs("3/3U/4/4")) == report


def test_processes_load_workloads_by_name():
    with pytest.raises(InputError, match="workload made up: other processes cannot load it by that name"):
        accuracy.measure(made_up(), configs("4/4/4/6"), jobs=2)


def made_up(seed=0):
    """Return a workload of a random layer whose score is how near quantized outputs are, and a count of trainings."""
    random = torch.Generator().manual_seed(seed)
    layer, x = torch.nn.Linear(32, 8), torch.randn(64, 32, generator=random)
    torch.nn.init.normal_(layer.weight, generator=random)
    exact = layer(x)
    return workload.Workload(
        name="made up",
        metric="nearness",
        model=lambda: copy.deepcopy(layer),
        calibrate=lambda model: model(x),
        evaluate=lambda model: -float((model(x) - exact).detach().square().mean()),
        train=lambda model: None,
        drawn=made_up,
    )


def test_the_baseline_is_the_best_of_all_choices():
    task = made_up()
    (row,) = accuracy.measure(task, configs("4/4/4/6")).rows
    scores = {
        f"W {weights}, A {name}": task.evaluate(
            quantize(
                task.model(),
                Scheme(config=MacConfig.parse("4/4/-/-"), weight_scales=weights, **inputs),
                task.calibrate,
            )
        )
        for weights in ("max", "mmse")
        for name, inputs in accuracy.INPUTS.items()
    }
    assert len(set(scores.values())) > 6
    assert row.per_channel["nearness"].value == max(scores.values()) == scores[row.baseline]
    assert row.gain["nearness"].value == row.per_vector["nearness"].value - max(scores.values())


def test_weights_that_are_asked_for_are_tried_per_channel_with_the_best_inputs(tmp_path):
    path = tmp_path / "scores.json"
    (row,) = accuracy.measure(made_up(), configs("4/4/4/6"), order="paper", path=path).rows
    scores = json.loads(path.read_text())["scores"]
    (asked,) = (key for key in scores if key.startswith("4/4/-/- ptq ") and "order=paper" in key)
    assert ("input_gamma=row" in asked) == row.baseline.endswith("A row")
    again = accuracy.measure(made_up(), configs("4/4/4/6"), path=path).rows[0]
    assert again.per_vector != row.per_vector
    assert len(json.loads(path.read_text())["scores"]) == len(scores) + 2  # the baselines are those there


def test_seeds_give_means_and_errors_of_paired_differences(tmp_path):
    path = tmp_path / "scores.json"
    report = accuracy.measure(made_up(), configs("4/4/4/6"), modes=["ptq", "qat"], seeds=3, path=path)
    scores = json.loads(path.read_text())["scores"]

    def by_seed(key):
        return np.array([scores[key + end]["nearness"]["value"] for end in ("", " seed=1", " seed=2")])

    for row in report.rows:
        ours = by_seed(f"4/4/4/6 {row.mode}")
        assert row.per_vector["nearness"] == mean(ours)
        assert len(set(ours)) == 3
        assert row.gain["nearness"].value == pytest.approx(
            row.per_vector["nearness"].value - row.per_channel["nearness"].value
        )
        assert row.gain["nearness"].error != row.per_vector["nearness"].error
    assert report.rows[0].baseline == report.rows[1].baseline
    assert report.float_scores["nearness"] == Score(0.0, 0.0)
    with pytest.raises(InputError, match="made up: it draws nothing from a seed; leave out seeds"):
        accuracy.measure(replace(made_up(), drawn=None), configs("4/4/4/6"), seeds=2)


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
    def scores(value, error=None):
        return {"accuracy": Score(value, error), "rank": Score(value / 2)}

    row = AccuracyRow(
        config="4/4U/4/6",
        mode="ptq",
        per_vector=scores(0.975, 0.008),
        float_scales=scores(0.98),
        per_channel=scores(0.925),
        baseline="W mmse, A row",
        gain=scores(0.05),
    )
    return AccuracyReport(task="digits", seeds=1, float_scores=scores(0.99), rows=[row])


def test_the_table_shows_both_kinds_of_scales(report):
    console = Console(file=io.StringIO(), width=140)
    console.print(report.table())
    for word in (
        "4/4U/4/6",
        "0.9750 ± 0.0080",
        "0.9800 ",
        "0.9250 ",
        "+0.0500",
        "accuracy 0.9900, rank 0.4950",
        "+0.0250",
    ):
        assert word in console.file.getvalue()


def test_the_plot_shows_every_score(report, tmp_path):
    """Rendered, since a chart that Vega refuses is saved as a page without a word."""
    charts.save(report.chart(), tmp_path / "scores.svg")
    picture = (tmp_path / "scores.svg").read_text()
    for title, score in (("per-vector", "0.9750"), ("fp32 scales", "0.9800"), ("per-channel", "0.9250")):
        assert f"scales: {title}; configuration: 4/4U/4/6; mode: ptq; accuracy: {score}" in picture
    assert "accuracy: 0.9750; standard error: 0.0080" in picture
    assert "model: fp32; accuracy: 0.9900" in picture
    assert "digits: accuracy" in picture
    assert "digits: rank" in picture


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
    with pytest.raises(InputError, match="give yours a chain"):
        replace(digits, chain=workload.Workload.chain).chain()
    with pytest.raises(InputError, match="metric 'top-1' is none of its scores accuracy"):
        replace(digits, metric="top-1", evaluate=lambda model: {"accuracy": 1.0}).scores(None)
    with pytest.raises(InputError, match="no training"):
        accuracy.measure(replace(digits, train=None), configs("4/4U/4/6"), modes=["qat"])
