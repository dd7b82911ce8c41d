import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("bracex")
pytest.importorskip("optuna")

from vsq.cli.main import main
from vsq.explore.exploration import explore
from vsq.explore.measures.measure import Measure
from vsq.explore.results import beaten
from vsq.explore.sampler import coordinates, sample
from vsq.explore.space import read
from vsq.explore.store import RecordStore
from vsq.golden.contract.errors import InputError
from vsq.golden.io.engine import Engine
from vsq.synth.measure.records import records

SERIAL = Engine(lambda workers: ThreadPoolExecutor(1), 1)


@dataclass(frozen=True, kw_only=True)
class Cost(Measure):
    name = "cost"
    quantity = "cost"

    def figures(self, config):
        return records(config.full_name, [("total", "cost", config.weight.bits * config.activation.bits, "um2")])


@dataclass(frozen=True, kw_only=True)
class Score(Measure):
    name = "score"
    quantity = "score"
    higher_is_better = True
    bias: float = 0.0

    def figures(self, config):
        if config.weight.bits == 5:
            raise InputError("no such figure")
        score = self.bias - 2.0**-config.weight.bits - 2.0**-config.activation.bits
        return records(config.full_name, [("total", "score", score, "1")])


def test_axes_are_the_options_that_differ_in_order():
    points = read(["{10,3,4U}/4/{6,-}/6", "4U/4/-/6@reuse={2,1}"]).points
    found = coordinates((point, "x") for point in points).tolist()
    mac = [(point.mac.weight.bits, point.mac.weight_scale, getattr(point, "reuse", None)) for point in points]
    weights = {bits: row[0] for (bits, *_), row in zip(mac, found, strict=True)}
    assert weights == {3: 0, 4: 1, 10: 2}
    assert {scale is None: row[1] for (_, scale, _), row in zip(mac, found, strict=True)} == {True: 0, False: 1}
    assert {reuse: row[-1] for (*_, reuse), row in zip(mac, found, strict=True)} == {None: 0, 1: 1, 2: 2}


def test_what_is_measured_gathers_at_the_front_of_what_is_there():
    """Half of a grid's points are missing; of the front, 60 trials find more than twice what as many random ones do."""
    hits, expected = 0, 0.0
    for seed in (secrets.randbits(32) for _ in range(3)):
        print(f"seed {seed}")
        grid = np.stack(np.meshgrid(*map(np.arange, (9, 9, 4, 3)), indexing="ij"), axis=-1).reshape(-1, 4)
        places = np.random.default_rng(seed).permutation(grid)[: len(grid) // 2]
        quality = np.stack([-(2.0 ** -places[:, 0]) - 2.0 ** -places[:, 1], -places.sum(axis=1)], axis=1)
        front = ~beaten(quality, np.zeros(2))
        found = sample(places, lambda chosen, all_=quality: all_[chosen].tolist(), trials=60, figures=2, seed=seed)
        assert len(found) == len(set(found)) == 60
        hits += front[found].sum()
        expected += front.sum() * 60 / len(places)
    assert hits > 2 * expected


def test_trials_are_measured_and_measured_once(tmp_path):
    space, chosen = read(["{2..12}/{2..8}/-/-"]), [Cost(), Score(), Score(bias=1.0)]
    results = explore(space, chosen, tmp_path, SERIAL, trials=30)
    assert sum(point.measures[1] in chosen for point in results.points) == len(results.points)
    entries = [entry for _, entry in RecordStore(tmp_path)]
    scored = [entry for entry in entries if entry["measure"] == "score"]
    assert len(scored) == 30
    assert len(results.points) == sum("failure" not in entry for entry in scored)
    assert {point.measures[1] for point in results.front} == {chosen[2]}  # one variant beats the other everywhere
    again = explore(space, chosen, tmp_path, Engine(None, 1), trials=30)  # nothing is missing
    assert again.points == results.points


def test_more_trials_than_points_measure_the_space(tmp_path):
    space = read(["{2,3}/{2,3}/-/-"])
    assert len(explore(space, [Cost(), Score()], tmp_path, SERIAL, trials=99).points) == 4
    assert len(explore(read(["2/3/-/-"]), [Cost()], tmp_path / "one", SERIAL, trials=1).points) == 1


@pytest.mark.parametrize("options", [["--trials", "0"], ["--trials", "some"], ["--trials", "9", "--front"]])
def test_bad_options_are_one_line(options, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["explore", "4/4/-/-", "--out", str(tmp_path / "store"), *options])
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "store").exists()
