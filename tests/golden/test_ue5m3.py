"""Scales UE5M3, which no library has: exact fractions, NumPy beside PyTorch, and products beyond 63 bits."""

from bisect import bisect_left
from fractions import Fraction
from functools import partial
from itertools import pairwise
from secrets import randbelow

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.formats.elements import IntFormat
from vsq.golden.formats.scales import NAMED
from vsq.golden.io import layers
from vsq.golden.io.layer import IntegerLayer
from vsq.golden.model.datapath import mac
from vsq.golden.model.readout import exact_sums
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.stimulus import stream

FORMAT, CONFIG = NAMED["ue5m3"], MacConfig.parse("e2m1/e2m1/ue5m3/ue5m3")


def value(pattern):
    """The real value of a pattern: 5 bits of exponent, whose bias is 15, and 3 of mantissa."""
    exponent, mantissa = divmod(pattern, 8)
    return Fraction(mantissa + 8 * (exponent > 0), 8) * Fraction(2) ** (max(exponent, 1) - 15)


def test_every_pattern():
    reals = [value(pattern) for pattern in range(255)]
    assert [Fraction(code, 1 << 17) for code in FORMAT.values] == reals
    assert FORMAT.decode(np.arange(255)).tolist() == list(FORMAT.values)
    assert FORMAT.encode(np.array(FORMAT.values)).tolist() == list(range(255))
    assert (FORMAT.bits, FORMAT.fraction_bits, FORMAT.unused, FORMAT.max / 2**17) == (8, 17, (255,), 114688)
    assert CONFIG.acc_bits == 88


def test_nearest_is_exact():
    """Ties go to the even pattern; numbers beyond the largest become it."""
    seed = randbelow(1 << 31)
    print(f"seed {seed}")  # shown on failure
    rng, values = np.random.default_rng(seed), FORMAT.values
    near = [Fraction(low + high, 2) + step for low, high in pairwise(values) for step in (Fraction(-1, 4), 0)]
    x = np.array([*map(float, near), *np.exp2(rng.uniform(-2, 36, 2000)).astype(np.float32)], np.float32)
    for number, got in zip(map(Fraction, x.tolist()), FORMAT.nearest(x).tolist(), strict=True):
        above = min(bisect_left(values, number), len(values) - 1)
        best = min({max(0, above - 1), above}, key=lambda place: (abs(values[place] - number), place % 2))
        assert got == values[best], number


def test_pytorch_quantizes_as_numpy_does():
    torch = pytest.importorskip("torch")
    from vsq.golden.quantizer import pytorch

    seed = randbelow(1 << 31)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((64, 160)) * np.exp2(rng.uniform(-20, 20, (64, 1)))).astype(np.float32)
    for quantizer in (Quantizer.for_weights(CONFIG), Quantizer.for_activations(CONFIG)):
        expected = quantizer.quantize(x)
        found = pytorch.to_numpy(pytorch.quantize(quantizer, torch.from_numpy(x)))
        for name in ("codes", "scales", "gamma"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
        assert expected.scales.max() == FORMAT.max


@pytest.mark.parametrize(
    "config",
    ["e5m2/8/ue5m3/e8m0:window=96", "e5m2/e5m2/ue5m3/ue5m3:acc=96", "e5m2/4/ue5m3/-", "4/e5m2/-/ue5m3:window=60"],
)
def test_products_of_the_largest_values_beyond_63_bits(config):
    """By the kernel, where it is, by PyTorch's own operations, and in a compiled graph."""
    torch = pytest.importorskip("torch")
    from vsq.golden.nn.quantize import quantize
    from vsq.golden.quantizer import pytorch

    seed = randbelow(1 << 31)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    x = (rng.standard_normal((24, 75)) * np.exp2(rng.uniform(-100, 60, (24, 1)))).astype(np.float32)
    real, config = torch.from_numpy(x), MacConfig.parse(config)
    for quantizer in (Quantizer.for_weights(config), Quantizer.for_activations(config)):
        if isinstance(quantizer.element, IntFormat):
            continue
        assert quantizer.element.qmax * quantizer.scale.max >= 1 << 63
        expected = quantizer.quantize(x)
        torch.compiler.reset()
        compiled = torch.compile(partial(pytorch.quantize, quantizer), backend="aot_eager", fullgraph=True)
        for found in (*(pytorch.quantize(quantizer, each) for each in (real, real.T.contiguous().T)), compiled(real)):
            same = pytorch.to_numpy(found)
            for name in ("codes", "scales", "gamma"):
                np.testing.assert_array_equal(getattr(same, name), getattr(expected, name), strict=True)
        np.testing.assert_array_equal(pytorch.dequantized(quantizer, real).numpy(), quantizer.dequantized(x))
    torch.manual_seed(seed)
    model, inputs = torch.nn.Sequential(torch.nn.Linear(75, 9)).eval(), torch.randn(8, 75)
    with torch.no_grad():
        expected = model(inputs)
        error = (quantize(model, config, lambda each: each(inputs))(inputs) - expected).norm() / expected.norm()
    assert error < 0.25


def test_a_layer_comes_back_from_its_file(tmp_path):
    x = np.random.default_rng(2).standard_normal((6, 40)).astype(np.float32)
    weights, inputs = Quantizer.for_weights(CONFIG).quantize(x[:4]), Quantizer.for_activations(CONFIG).quantize(x)
    layer = IntegerLayer(config=CONFIG, weights=weights, inputs=inputs, input_gamma=inputs.gamma[0, 0], bias=None)
    layers.save(tmp_path / "layer.safetensors", {"fc": layer})
    again = layers.load(tmp_path / "layer.safetensors")["fc"]
    np.testing.assert_array_equal(again.weights.scales, weights.scales)
    sums, _ = exact_sums(CONFIG, weights.operand(), inputs.operand())
    assert again.result.acc.tolist() == sums.tolist()
    assert max(map(abs, sums.ravel().tolist())) >= 1 << 63


def test_accumulators_equal_python_integers():
    beats = stream.beats(CONFIG, 300, randbelow(1 << 31))
    trace = mac(CONFIG, **vars(beats), trace=True).trace
    acc = 0
    for beat, got in enumerate(trace.acc.tolist()):
        d = sum(w * a for w, a in zip(beats.weights[beat].tolist(), beats.activations[beat].tolist(), strict=True))
        term = d * int(beats.weight_scales[beat]) * int(beats.activation_scales[beat])
        acc = (0 if beats.first[beat] else acc) + term
        acc = max(-1 << 87, min((1 << 87) - 1, acc))
        assert got == acc


def test_a_network_computes_in_these_integers():
    """The bound of float32's differences is proven; a frozen layer's scales pass 31 bits."""
    torch = pytest.importorskip("torch")
    from vsq.golden.nn.integer import inference
    from vsq.golden.nn.quantize import quantize

    torch.manual_seed(0)
    model, x = torch.nn.Sequential(torch.nn.Linear(43, 37)).eval(), torch.randn(24, 43)
    quantized = quantize(model, str(CONFIG), lambda each: each(x))
    with inference(quantized) as differences:
        error = (quantized(x) - model(x)).norm() / model(x).norm()
    assert differences["0"].share <= 1
    assert error < 0.2
    assert quantized[0].quantized_weights().scales.max() == FORMAT.max
