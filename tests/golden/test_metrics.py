"""Scores and their standard errors, against SciPy, closed forms and draws."""

import math

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.workloads import metrics
from vsq.golden.workloads.metrics import Score
from vsq.golden.workloads.workload import Workload


def rng():
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def test_ranks_correlate_as_scipy_has_it():
    stats = pytest.importorskip("scipy.stats")
    draw = rng()
    for x, y in (draw.standard_normal((2, 200)), draw.integers(0, 9, (2, 200)), draw.integers(0, 2, (2, 50))):
        assert metrics.spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert metrics.spearman(np.arange(9), -(np.arange(9.0) ** 3)) == pytest.approx(-1)


def naive(reference, found):
    """Return cosine, neighbours kept, and similarities of pairs on either side, by loops."""

    def cosine(x, y):
        return float(x @ y / math.sqrt((x @ x) * (y @ y)))

    def nearest(rows, i):
        return max((j for j in range(len(rows)) if j != i), key=lambda j: cosine(rows[i], rows[j]))

    n = len(found)
    cosines = sum(cosine(x, y) for x, y in zip(reference, found, strict=True)) / n
    kept = sum(nearest(reference, i) == nearest(found, i) for i in range(n)) / n
    pairs = [[cosine(rows[i], rows[j]) for i in range(n) for j in range(i)] for rows in (reference, found)]
    return cosines, kept, pairs


def test_similarity_equals_loops_and_its_errors_are_those_of_random_halves():
    stats = pytest.importorskip("scipy.stats")
    draw = rng()
    reference = draw.standard_normal((15, 6))
    found = 2 * reference + draw.standard_normal((15, 6))

    def scored(chosen):
        cosine, kept, pairs = naive(reference[chosen], found[chosen])
        return np.array([cosine, kept, stats.spearmanr(*pairs).statistic])

    ours = metrics.similarity(reference, found)
    assert list(ours) == ["cosine", "neighbours", "Spearman"]
    shuffle = np.random.default_rng(0)
    halves = np.array([scored(shuffle.permutation(15)[:7]) for _ in range(metrics.HALVES)])
    np.testing.assert_allclose([score.value for score in ours.values()], scored(range(15)), atol=1e-12)
    expected = np.sqrt(7 / 8) * halves.std(axis=0)
    np.testing.assert_allclose([score.error for score in ours.values()], expected, atol=1e-12)


def test_equal_embeddings_are_as_near_as_can_be_whatever_their_length():
    rows = rng().standard_normal((20, 8))
    for score in metrics.similarity(rows, 3 * rows).values():
        assert score.value == pytest.approx(1)
        assert score.error == pytest.approx(0, abs=1e-7)


def test_the_errors_are_those_of_fresh_sentences():
    """The mean error is near the deviation over draws of 40 sentences."""
    draw = np.random.default_rng(1)
    scores = []
    for _ in range(80):
        reference = draw.standard_normal((40, 8))
        scores.append(metrics.similarity(reference, reference + 0.5 * draw.standard_normal((40, 8))))
    for name in scores[0]:
        spread = np.std([score[name].value for score in scores])
        assert 0.75 < np.mean([score[name].error for score in scores]) / spread < 1.25, name


def test_shares_and_means_have_their_closed_forms():
    assert metrics.share(8, 10) == Score(0.8, pytest.approx(math.sqrt(0.016)))
    assert metrics.share(4, 4) == Score(1.0, 0.0)
    values = rng().standard_normal(30)
    found = metrics.mean(values)
    assert found.value == pytest.approx(values.mean())
    assert found.error == pytest.approx(math.sqrt(((values - values.mean()) ** 2).sum() / 29 / 30))
    assert metrics.mean([2.0]) == Score(2.0)
    for nothing in (lambda: metrics.share(0, 0), lambda: metrics.mean([])):
        with pytest.raises(InputError, match="nothing to score"):
            nothing()


def test_a_score_shows_its_error():
    assert f"{Score(0.95):.2f} {Score(0.95, 0.0123):+.3f} {Score(0.5, 0.25):.1%}" == "0.95 +0.950 ± 0.012 50.0% ± 25.0%"


def test_a_workload_may_return_a_plain_number():
    def scores(found):
        return Workload(name="own", metric="accuracy", model=dict, calibrate=print, evaluate=lambda _: found).scores({})

    assert scores(0.5) == {"accuracy": Score(0.5)}
    assert scores(np.float32(0.5)) == {"accuracy": Score(0.5)}
    assert scores(Score(0.5, 0.1)) == {"accuracy": Score(0.5, 0.1)}
    several = {"top-5": Score(0.9), "accuracy": Score(0.5, 0.1)}
    assert scores(several) == several
