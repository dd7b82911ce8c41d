import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import pytest
from amaranth.hdl import Fragment

pytest.importorskip("bracex")

from vsq.explore.estimates import estimates, hopeless, samples
from vsq.explore.exploration import explore, measures
from vsq.explore.fit import Fit
from vsq.explore.measures.accuracy import AccuracyMeasure
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.counts import CountsMeasure
from vsq.explore.measures.measure import Measure
from vsq.explore.results import DesignPoint, Headline, Results, headline
from vsq.explore.space import read
from vsq.explore.store import RecordStore, Task
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration
from vsq.golden.io.engine import Engine
from vsq.hw.arithmetic.bitheap import recorded
from vsq.hw.mac import shapes
from vsq.hw.mac.datapath import DotProduct, ScalePath
from vsq.synth.measure.records import records

SERIAL = Engine(lambda workers: ThreadPoolExecutor(1), 1)


@dataclass(frozen=True, kw_only=True)
class Bits(Measure):
    """Counts that costs follow from: 2 a weight bit, 3 an activation bit."""

    name = "bits"
    quantity = "bits"

    def figures(self, config):
        w, a = config.weight.bits, config.activation.bits
        return records(config.full_name, [("total", "bits", w + a, "1"), ("dot", "w", w, "1"), ("dot", "a", a, "1")])


@dataclass(frozen=True, kw_only=True)
class Cost(Measure):
    """A cost that estimates come within 4 % of; it is dear."""

    name = "cost"
    quantity = "cost"
    slack = 0.05
    samples = 12

    def preview(self):
        return Bits()

    def figures(self, config):
        w, a = config.weight.bits, config.activation.bits
        cost = (2 * w + 3 * a) * (1 + 0.02 * (w * a % 3 - 1))
        return records(config.full_name, [("total", "cost", cost, "um2"), ("dot", "cost", cost, "um2")])


@dataclass(frozen=True, kw_only=True)
class Score(Measure):
    """Higher is better, with bits; a look is .01 off at most."""

    name = "score"
    quantity = "score"
    higher_is_better = True
    slack = 0.02
    glance: bool = False

    def preview(self):
        return Score(glance=True)

    def figures(self, config):
        w, a = config.weight.bits, config.activation.bits
        score = 1 - 2.0**-w - 2.0**-a
        return records(config.full_name, [("total", "score", score + 0.01 * self.glance * (a % 2), "1")])


def test_the_front_is_found_with_few_measurements(tmp_path):
    space, chosen = read(["{2,3,4,5,6,7,8}/{2,3,4,5,6,7,8}/-/-"]), [Cost(), Score()]
    every = explore(space, chosen, tmp_path / "every", SERIAL)
    results = explore(space, chosen, tmp_path / "front", SERIAL, front=True)
    assert [point.values for point in results.front] == [point.values for point in every.front]
    assert len(every.points) == len(results.points) == 49
    assert len(every.front) < len(results.measured) < 45
    assert 0 < max(results.deviations["cost"]) < 0.05
    assert f"and {49 - len(results.measured)} whose estimates" in results.extent
    again = explore(space, chosen, tmp_path / "front", Engine(None, 1), front=True)  # nothing is missing
    assert again.points == results.points


def test_points_without_an_estimate_are_measured(tmp_path, monkeypatch):
    def figures(self, config):
        raise InputError("no counts")

    monkeypatch.setattr(Bits, "figures", figures)
    space = read(["{2,3,4,5,6,7,8}/{2,3}/-/-"])
    results = explore(space, [Cost(), Score()], tmp_path, SERIAL, front=True)
    sampled = {task.configuration for task in samples(Cost(), space.points)}
    assert {config.full_name for config in space.points} - sampled <= {p.config.full_name for p in results.measured}
    assert (len(results.points), len(sampled), results.deviations["cost"]) == (14, 12, [])


def test_costs_are_found():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    costs = {part: dict(zip("xyz", rng.uniform(1, 5, 3), strict=True)) for part in ("dot", "scale")}
    counts = [{part: dict(zip("xyz", rng.integers(1, 99, 3), strict=True)) for part in costs} for _ in range(20)]
    figures = [{part: sum(costs[part][e] * n for e, n in made[part].items()) for part in costs} for made in counts]
    fit = Fit.of(counts[:12], figures[:12])
    for made, figure in zip(counts[12:], figures[12:], strict=True):
        assert fit(made) == pytest.approx(sum(figure.values()), rel=1e-9)


def test_elements_that_come_together_share_their_cost():
    counts = [{"dot": {"rows": 2 * n, "digits": n, "more": n % 3 + 1}} for n in range(1, 13)]
    fit = Fit.of(counts, [{"dot": 7.0 * n + 2 * (n % 3 + 1)} for n in range(1, 13)])
    assert fit({"dot": {"rows": 40, "digits": 20, "more": 5}}) == pytest.approx(150)


def test_counts_are_those_of_the_heaps():
    config = configuration("5/6U/4/6:R=8,pipeline=3").mac
    with recorded() as heaps:
        Fragment.get(DotProduct(config), None)
        with recorded() as inner:
            Fragment.get(ScalePath(config), None)
    assert (len(heaps), len(inner)) == (1, 2)
    [dot] = heaps
    assert sum(count for name, count in dot.counts.items() if name.startswith("full")) == dot.full_adders
    assert sum(count for name, count in dot.counts.items() if name.startswith(("half", "parity"))) == dot.half_adders
    assert dot.counts["nands"] == 5 * 6 * 16 == dot.bits_in
    found = {(one.component, one.quantity): one.value for one in CountsMeasure().figures(config)}
    assert found["total", "adders"] > dot.full_adders + dot.half_adders
    assert found["dot", "registers"] == dot.counts["registers"] + shapes.dot_shape(config).width
    assert found["scale", "dropped"] == 2


@pytest.mark.parametrize(
    ("name", "reason"), [("4/4/4/6@", "leave out what @ adds"), ("4/4/4/6:style=carrysave", "leave style out")]
)
def test_designs_without_counts(name, reason):
    assert reason in Task(name, CountsMeasure()).run()["failure"]


@pytest.mark.slow
def test_areas_are_estimated(tmp_path):
    """benchmarks.estimates has the figures of all kinds of MACs; here are small ones of one kind."""
    area, names = AreaMeasure(), [f"{w}/{a}/-/-:V={v}" for w in (2, 3) for a in (2, 3, 4) for v in (2, 4, 5)]
    space, store = [configuration(name) for name in names], RecordStore(tmp_path)
    for config in space:
        look = Task.of(config, CountsMeasure())
        store.keep(look, look.run())
    known = {task: task.run() for task in samples(area, space)}
    for task in [*known][:13]:
        store.keep(task, known[task])
    found = estimates(area, space, store)
    assert len(found) == len(names) - 13
    for task, estimate in found.items():
        wanted = headline(area, known[task])
        assert (pytest.approx(estimate.value, rel=0.05), estimate.unit) == (wanted.value, wanted.unit)
        assert estimate.doubt == area.slack * estimate.value


def test_accuracy_is_estimated_by_a_part_of_the_data():
    [measure] = measures(["accuracy:workload=minilm,input_gamma=row"])
    assert measure.preview() == AccuracyMeasure(workload="minilm", input_gamma="row", glance=True)
    assert measure.preview().preview() == measure.preview()


def test_a_score_is_off_by_three_standard_errors_and_ties_are_no_candidates():
    measure = AccuracyMeasure()
    look = {"records": records("4/4/-/-", [("total", "accuracy", 0.9, "cosine"), ("total", "cosine", 0.9, "1")])}
    look = {"records": [asdict(record) for record in look["records"]]}
    assert measure.doubt(look, 0.9) == pytest.approx(0.009)
    error = {"component": "total", "quantity": "standard error of cosine", "value": 0.002, "unit": "1"}
    assert measure.doubt({"records": [*look["records"], error]}, 0.9) == pytest.approx(0.006)
    assert measure.doubt({"records": [*look["records"], error | {"value": 0.0}]}, 0.9) == measure.noise

    def out(*points):
        [config], cost = read(["4/4/-/-"]).points, Headline(10.0, "um2")
        figures = [DesignPoint(config, (Cost(), measure), (cost, Headline(*one))) for one in points]
        found = Results(((Cost(),), (measure,)), figures, Counter(), {})
        return [figures.index(point) for point in hopeless(found)]

    assert out((0.9, "", 0.006), (0.911, "", 0.006)) == []  # they may be equal
    assert out((0.9, "", 0.006), (0.913, "", 0.006)) == [0]
    assert out((0.9, "", None), (0.9004, "", None)) == []  # a tie
    assert out((0.9, "", 0.006), (0.9, "", None)) == []
