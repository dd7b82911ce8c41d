"""Dual precision against its definition, an optimal-compensation oracle, and exact integers."""

import math
from fractions import Fraction

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.formats import fp8

torch = pytest.importorskip("torch")

from vsq.golden.nn.methods.hessian import Hessian
from vsq.golden.nn.planes import dual_precision as dpq


def layer(rows=12, columns=40, samples=200, seed=0):
    """Return a weight and correlated inputs of columns with very different magnitudes."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((columns, columns)) * 0.2 + np.eye(columns)
    x = rng.standard_normal((samples, columns)) @ mix * np.exp(rng.standard_normal(columns))
    return torch.tensor(rng.standard_normal((rows, columns)) * 0.05, dtype=torch.float32), torch.tensor(x)


def hessian(x):
    seen = Hessian()
    for batch in x.split(64):
        seen.observe(batch.reshape(1, *batch.shape))
    return seen.matrix()


def output_error(weight, quantized, x):
    return ((weight.double() - quantized.dequantize().double()) @ x.double().T).square().mean().item()


def rounded(value):
    """Return the nearest E4M3 in the protected range, by NumPy."""
    return float(fp8.decode(fp8.encode(np.clip(value, -224, 224))))


def test_the_hessian_does_not_depend_on_the_batches():
    _, x = layer()
    assert torch.allclose(hessian(x), 2 / len(x) * x.T @ x, rtol=1e-12)


def test_rounding_to_nearest_follows_the_definition():
    """Scalar loops with Python's floats: s8, s_g in bfloat16, codes, and E4M3 values."""
    weight, _ = layer(4, 20)
    weight[1, 8:16] = 0
    result = dpq.round_to_nearest(weight, group_size=8)
    s8 = 2.0 ** math.ceil(math.log2(weight.abs().max().item() / 224))
    assert result.tensor_scale == s8
    for row in range(4):
        for start in (0, 8, 16):
            group = [w / s8 for w in weight[row, start : start + 8].tolist()]
            scale = torch.tensor(2 / 15 * max(abs(rounded(w)) for w in group)).bfloat16().item()
            assert result.group_scales[row, start // 8] == scale
            for k, w in enumerate(group, start):
                code = min(max(round(w / scale), -8), 7) if scale else 0
                assert result.codes[row, k] == code
                assert result.dequantize()[row, k] == s8 * rounded(scale * code)


@pytest.mark.parametrize("reorder", [False, True])
@pytest.mark.parametrize(("columns", "group_size"), [(24, 8), (150, 16)])
def test_every_column_sees_the_best_compensation(columns, group_size, reorder):
    """What a column is rounded from is the minimizer of the output error, given all columns rounded before it.

    The minimizer is solved for anew at each column: delta_rest = -H_rr^-1 H_rq delta_q. No Cholesky factor, no blocks.
    """
    weight, x = layer(3, columns)
    result = dpq.quantize(weight, hessian(x), group_size=group_size, reorder=reorder)
    h = hessian(x)
    order = dpq._order(h.diagonal(), group_size) if reorder else torch.arange(columns)
    h = (h + 0.01 * h.diagonal().mean() * torch.eye(columns))[order][:, order]
    w = weight.double()[:, order] / result.tensor_scale
    scales = result.group_scales.double()[:, order // group_size]
    quantized = torch.zeros_like(w)
    for i in range(columns):
        shift = torch.linalg.solve(h[i:, i:], h[i:, :i] @ (quantized[:, :i] - w[:, :i]).T)[0]
        code = ((w[:, i] - shift) / scales[:, i]).round().clamp(-8, 7)
        quantized[:, i] = torch.tensor([rounded(value) for value in (scales[:, i] * code).tolist()])
    assert torch.equal(result.dequantize()[:, order].double() / result.tensor_scale, quantized)


def test_reordering_keeps_groups_together():
    importance = torch.tensor([1.0, 5, 2, 0, 9, 3, 7])
    assert dpq._order(importance, 3).tolist() == [4, 5, 3, 6, 1, 2, 0]


@pytest.mark.parametrize("group_size", [16, 128])
@pytest.mark.parametrize("scale_dtype", [torch.float32, torch.bfloat16, torch.float8_e8m0fnu])
def test_compensation_beats_rounding_to_nearest(group_size, scale_dtype):
    weight, x = layer(64, 256, 1000)
    options = {"group_size": group_size, "scale_dtype": scale_dtype}
    nearest = dpq.quantize(weight, torch.eye(256), **options)
    plain = dpq.quantize(weight, hessian(x), reorder=False, **options)
    ordered = dpq.quantize(weight, hessian(x), **options)
    assert output_error(weight, plain, x) < 0.7 * output_error(weight, nearest, x)
    assert output_error(weight, ordered, x) < output_error(weight, plain, x)


def test_scales_of_powers_of_two_only_add_to_the_exponent():
    weight, x = layer()
    result = dpq.quantize(weight, hessian(x), group_size=8, scale_dtype=torch.float8_e8m0fnu)
    mantissa, _ = torch.frexp(result.group_scales)
    assert (mantissa == 0.5).all()
    exact = result.group_scales.repeat_interleave(8, dim=1) * result.codes
    assert torch.equal(result.e4m3().float(), exact)


def test_dead_columns_and_zero_weights():
    weight, x = layer()
    x[:, 5] = 0
    weight[2] = 0
    result = dpq.quantize(weight, hessian(x), group_size=8)
    assert not result.codes[:, 5].any()
    assert not result.codes[2].any()
    assert not dpq.quantize(weight * 0, hessian(x)).dequantize().any()


def test_the_integer_sum_is_exact_and_float32_is_near():
    weight, x = layer(5, 40, 6)
    result = dpq.quantize(weight, hessian(x))
    scale = dpq.activation_scale(x.abs().max().item())
    assert 224 < x.abs().max().item() / scale <= 448
    codes = dpq.activations(x, scale)
    left, right = codes.float().tolist(), result.e4m3().float().tolist()
    exact = [[sum(Fraction(a) * Fraction(b) for a, b in zip(r, s, strict=True)) for s in right] for r in left]
    factor = Fraction(scale) * Fraction(result.tensor_scale)
    assert dpq.linear(codes, result, scale).tolist() == [[float(y * factor) for y in row] for row in exact]
    near = dpq.linear(codes, result, scale, exact=False)
    assert torch.allclose(near, dpq.linear(codes, result, scale), rtol=1e-4, atol=1e-6)


def test_activations_beyond_the_calibrated_range_clip():
    values = dpq.activations(torch.tensor([3.0, 1e9, -1e9, math.inf]), 2.0).float()
    assert values.tolist() == [1.5, 448, -448, 448]
    assert dpq.activation_scale(0.0) == 1.0


def test_errors_name_what_is_wrong():
    weight, x = layer()
    with pytest.raises(InputError, match=r"fc: shape \(12, 40\) with a Hessian of \(3, 3\)"):
        dpq.quantize(weight, torch.eye(3), name="fc")
    with pytest.raises(InputError, match="group size 0"):
        dpq.quantize(weight, hessian(x), group_size=0)
    with pytest.raises(InputError, match="Hessian of fc: must be finite"):
        dpq.quantize(weight, hessian(x) * math.nan, name="fc")
    with pytest.raises(InputError, match="fc: calibration saw no data"):
        Hessian().matrix("fc")


@pytest.fixture
def quantized():
    """A layer of random sizes, in groups that are no multiple of K, with scales of FP8; and rows of inputs."""
    seed = int(np.random.SeedSequence().entropy) % 2**63
    print(f"seed {seed}")
    torch.manual_seed(seed)
    channels, length = 2 + seed % 4, 17 + seed % 23
    weight = torch.randn(channels, length) * 2.0 ** float(torch.randint(-6, 3, ()))
    x = dpq.activations(torch.randn(3, length), 2.0**-6)
    return dpq.quantize(weight, torch.eye(length), group_size=8, scale_dtype=torch.float8_e4m3fn), x


@pytest.mark.parametrize("size", [2, 4, 8])
def test_a_layer_in_integers_gives_the_exact_sums(quantized, size):
    weight, x = quantized
    layer = dpq.integer_layer(weight, x, 2.0**-6, f"w4a8fp8:V={size}")
    assert torch.equal(torch.from_numpy(layer.outputs()), dpq.linear(x, weight, 2.0**-6))
    assert np.array_equal(layer.weights.codes.reshape(len(layer.weights.codes), -1)[:, : x.shape[1]], weight.codes)


def test_what_no_mac_in_dual_precision_computes_is_refused(quantized):
    weight, x = quantized
    rough = dpq.quantize(torch.randn(2, x.shape[1]), torch.eye(x.shape[1]), group_size=8)
    for arguments, message in (
        ((weight, x, 1.0, "4/e4m3/ue4m3/-"), "choose w4a8fp8"),
        ((weight, x, 1.0), "group size 8: no multiple of V = 16"),
        ((rough, x, 1.0, "w4a8fp8:V=8"), "quantize with scale_dtype=torch.float8_e4m3fn"),
    ):
        with pytest.raises(InputError, match=message):
            dpq.integer_layer(*arguments)
