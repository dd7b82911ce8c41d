"""Thresholds against plain NumPy and loops, and the life of an observer in a model."""

import math

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.quantizer.tensor import Granularity

torch = pytest.importorskip("torch")

from vsq.golden.nn import calibration
from vsq.golden.nn.calibration import SAMPLE_ELEMENTS, observer, watch
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Calibration

LEVELS = [None, IntFormat(bits=6, signed=False)]


def quantizer(element="4", scale=None, **options):
    return Quantizer(
        element=element_format(element), scale=scale, vector_size=16, **{"granularity": Granularity.TENSOR, **options}
    )


def batches(seed=0, count=3, shape=(40, 64)):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.standard_normal(shape) * 2**i, dtype=torch.float32) for i in range(count)]


def observed(method, sides, data, **options):
    seen = observer(method, sides, **options)
    for x in data:
        seen.observe(x)
    return seen.gamma()


def threshold(sides, gamma):
    """Return the largest magnitude that gamma represents."""
    return gamma.item() * sides.element.qmax * (1 if sides.scale is None else sides.scale.max)


@pytest.mark.parametrize("scale", LEVELS)
def test_max_is_the_gamma_of_everything_at_once(scale):
    sides = quantizer(scale=scale)
    data = batches()
    assert torch.equal(observed("max", sides, data), pytorch.gamma(sides, torch.cat(data)).reshape(()))


@pytest.mark.parametrize("scale", LEVELS)
@pytest.mark.parametrize("percent", [50, 90, 99.9, 100])
def test_percentile_is_numpys_to_a_bin(scale, percent):
    sides = quantizer(scale=scale)
    data = batches()
    magnitudes = torch.cat(data).abs().numpy()
    bin_width = 2 ** math.ceil(math.log2(magnitudes.max())) / calibration.BINS
    ours = threshold(sides, observed("percentile", sides, data, percentile=percent))
    assert ours == pytest.approx(np.percentile(magnitudes, percent, method="inverted_cdf"), abs=1.01 * bin_width)


def test_the_histogram_does_not_depend_on_the_order_of_batches():
    data = [*batches(), torch.zeros(4, 4)]
    forwards, backwards = calibration.Histogram(), calibration.Histogram()
    for x, y in zip(data, reversed(data), strict=True):
        forwards.add(x.abs())
        backwards.add(y.abs())
    assert forwards.limit == backwards.limit
    assert torch.equal(forwards.counts, backwards.counts)
    everything = np.concatenate([x.abs().numpy().ravel() for x in data])
    expected, _ = np.histogram(everything, calibration.BINS, (0, forwards.limit))
    np.testing.assert_array_equal(forwards.counts.numpy(), expected)


def naive_divergence(counts, top, levels):
    """Return KL(P || Q) by loops over bins and parts, as the method is told in words."""
    p = list(counts[:top])
    p[-1] += sum(counts[top:])
    q = [0.0] * top
    for level in range(levels):
        part = [i for i in range(top) if i * levels // top == level]
        occupied = [i for i in part if counts[i]]
        for i in occupied:
            q[i] = sum(counts[j] for j in part) / len(occupied)
    total = sum(counts)
    return sum(a / total * math.log(a / b) if b else math.inf for a, b in zip(p, q, strict=True) if a)


@pytest.mark.parametrize("levels", [2, 4, 8])
def test_entropy_equals_loops_over_a_small_histogram(levels, monkeypatch):
    monkeypatch.setattr(calibration, "BINS", 64)
    rng = np.random.default_rng(levels)
    values = np.abs(np.concatenate([rng.standard_normal(3000), rng.standard_normal(30) * 4]))
    counts = calibration.Histogram()
    counts.add(torch.tensor(values))
    plain = counts.counts.tolist()
    plain[0] = 0.0
    filled = max(i for i, count in enumerate(plain) if count) + 1
    best = min(range(levels, filled + 1), key=lambda top: naive_divergence(plain, top, levels))
    assert best < filled
    assert counts.least_divergence(levels) == best * counts.width


@pytest.mark.parametrize("levels", [2, 4, 8, 16, 128])
def test_entropy_does_not_clip_away_values_that_are_few_and_evenly_spread(levels):
    """Pixels of 16 grey levels, all as frequent: no threshold below the 12th of them is worth its clipping."""
    counts = calibration.Histogram()
    counts.add(torch.arange(1, 17).repeat(100) / 16)
    assert counts.least_divergence(levels) > 12 / 16


@pytest.mark.parametrize("scale", LEVELS)
def test_mse_is_the_best_of_many_gammas(scale):
    sides = quantizer("4", scale)
    x = batches(count=1)[0]
    x[0, 0] = 20.0  # an outlier that max calibration would serve

    def error(gamma):
        return (x - pytorch.quantize(sides, x, gamma=gamma).dequantize()).square().sum().item()

    largest = observed("max", sides, [x])
    ours = error(observed("mse", sides, [x]))
    assert ours < error(largest)
    assert ours <= 1.02 * min(error(largest * factor) for factor in np.linspace(0.05, 1.5, 300))


def test_the_mse_sample_is_bounded_and_fair():
    seen = observer("mse", quantizer())
    rows = SAMPLE_ELEMENTS // 512
    for value in (1.0, 2.0):
        for _ in range(3):
            seen.observe(torch.full((rows, 512), value))
    assert len(seen.rows) == rows
    share = (seen.rows[:, 0] == 1.0).double().mean().item()
    assert share == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("method", Calibration)
@pytest.mark.parametrize("element", ["4", "4U"])
def test_no_method_exceeds_the_maximum_by_much_and_zeros_give_zero(method, element):
    sides = quantizer(element)
    data = [x.abs() for x in batches()]
    assert 0 < observed(method, sides, data) <= 1.5 * observed("max", sides, data)
    assert observed(method, sides, [torch.zeros(2, 16)]) == 0


@pytest.mark.parametrize("method", Calibration)
def test_calibration_that_never_ran_is_an_error(method):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU())
    seen = observer(method, quantizer(), name="input of 0")
    watch(model, {"0": seen.observe}, lambda model: None)
    with pytest.raises(InputError, match="input of 0: calibration saw no data"):
        seen.gamma()


def test_calibrating_a_model_sees_inputs_and_leaves_no_hooks():
    model = torch.nn.Sequential(torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    data = batches()
    observers = {"0": observer("max", quantizer()), "2": observer("max", quantizer("4U"))}
    watch(model, {name: seen.observe for name, seen in observers.items()}, lambda model: [model(x) for x in data])
    gammas = {name: seen.gamma() for name, seen in observers.items()}
    hidden = model[1](model[0](torch.cat(data)))
    assert gammas["0"].item() == pytest.approx(torch.cat(data).abs().max().item() / 7)
    assert gammas["2"].item() == pytest.approx(hidden.max().item() / 15)
    assert not any(module._forward_pre_hooks for module in model)


def test_errors_name_what_is_wrong():
    with pytest.raises(InputError, match="'median': choose one of max, percentile, entropy, mse"):
        observer("median", quantizer())
    with pytest.raises(InputError, match="percentile 0: must be above 0"):
        observer("percentile", quantizer(), percentile=0)
    with pytest.raises(InputError, match="granularity token has no static gamma"):
        observer("max", quantizer(granularity="token"))
    with pytest.raises(InputError, match=r"input\[0, 1\] = nan"):
        observer("max", quantizer(), name="input").observe(torch.tensor([[0.0, math.nan]]))
    with pytest.raises(InputError, match="rows of 8 after rows of 4"):
        observed("mse", quantizer(), [torch.ones(1, 4), torch.ones(1, 8)])
    with pytest.raises(InputError, match=r"module 'fc': .* did you mean .*fc1"):
        watch(torch.nn.ModuleDict({"fc1": torch.nn.ReLU()}), {"fc": observer("max", quantizer()).observe}, print)


def test_entropy_clips_less_where_vectors_have_their_own_scales():
    """Two levels resolve small vectors, so that there is less to gain from a smaller gamma."""
    coarse, fine = (
        threshold(quantizer("4", scale), observed("entropy", quantizer("4", scale), batches())) for scale in LEVELS
    )
    assert coarse < 0.95 * fine
