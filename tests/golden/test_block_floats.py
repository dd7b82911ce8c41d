"""NVFP4, NVINT4 and OCP MX: scales and codes against their definitions, with ml_dtypes' casts and exact fractions."""

from fractions import Fraction
from math import floor, log2

import ml_dtypes
import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import element_format
from vsq.golden.formats.scales import scale_format
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRule

UE4M3 = scale_format("ue4m3")
DTYPES = {
    "e2m1": ml_dtypes.float4_e2m1fn,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
}
MX = ["8", *DTYPES]


def quantizer(element, scale, size=16, **options):
    return Quantizer(
        element=element_format(element), scale=scale, vector_size=size, **{"granularity": "tensor", **options}
    )


def samples(magnitude=1.0, seed=0, shape=(64, 160)):
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.01, 4, (shape[0], 1))
    spread[5:7] = 4
    x = rng.standard_normal(shape) * spread * magnitude
    x[3, 16:64] = 0
    x[5, :16] *= 1e-5  # a vector whose scale is subnormal, and one whose scale becomes 0
    x[6, :16] *= 1e-9
    return x.astype(np.float32)


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("magnitude", [1e-30, 1.0, 1e30])
def test_nvfp4_is_its_definition(granularity, magnitude):
    x = samples(magnitude)
    result = quantizer("e2m1", UE4M3, granularity=granularity).quantize(x)
    vectors = x.reshape(64, 10, 16)
    peaks = np.abs(vectors).max(axis=2)
    amax = peaks.max() if granularity == "tensor" else peaks.max(axis=1, keepdims=True)
    s2 = np.float32(amax) / np.float32(6 * 448)
    scales = np.minimum(peaks / np.float32(6) / s2, np.float32(448)).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    steps = (scales * s2)[..., None]
    quotients = np.divide(vectors, steps, out=np.zeros_like(vectors), where=steps > 0)
    codes = np.clip(quotients, -6, 6).astype(DTYPES["e2m1"]).astype(np.float32)
    np.testing.assert_array_equal(result.scales, scales * 512)
    np.testing.assert_array_equal(result.codes, codes * 2)
    np.testing.assert_array_equal(result.gamma, np.broadcast_to(s2 / 1024, result.gamma.shape))
    present = result.scales.ravel()
    assert {0, 229376} <= set(present.tolist())
    assert ((present > 0) & (present < 8)).any()  # subnormal ones
    assert np.abs(result.codes).max() == 12


def test_nvint4_is_its_definition():
    x = samples()
    result = quantizer("4", UE4M3).quantize(x)
    vectors = x.reshape(64, 10, 16)
    peaks = np.abs(vectors).max(axis=2)
    s2 = peaks.max() / np.float32(7 * 448)
    scales = np.minimum(peaks / np.float32(7) / s2, np.float32(448)).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    steps = (scales * s2)[..., None]
    quotients = np.divide(vectors, steps, out=np.zeros_like(vectors), where=steps > 0)
    np.testing.assert_array_equal(result.scales, scales * 512)
    np.testing.assert_array_equal(result.codes, np.clip(np.rint(quotients), -7, 7))


def peaks_near_thresholds():
    """Magnitudes at, just below and just above powers of two, the elements' largest values and rounding thresholds."""
    mantissas = [1, 1.25, 1.5, 1.75, 1.875, 1.9375, 2 - 2**-7, 127 / 64, 2 - 2**-23]
    exact = np.array([m * 2.0**e for m in mantissas for e in (-126, -120, -3, 0, 1, 5, 126)], np.float32)
    drawn = np.exp(np.random.default_rng(1).uniform(-80, 80, 400)).astype(np.float32)
    return np.concatenate([exact, np.nextafter(exact, np.float32(np.inf)), np.nextafter(exact, np.float32(0)), drawn])


@pytest.mark.parametrize("rule", ScaleRule)
@pytest.mark.parametrize("element", MX)
def test_exponents_follow_the_rule_exactly(element, rule):
    form = element_format(element)
    bits = {"8": 6, "e2m1": 1, "e2m3": 3, "e3m2": 2, "e4m3": 3, "e5m2": 2}[element]
    unit = Fraction(1, 64) if element == "8" else Fraction(1, 1 << form.fraction_bits)
    peaks = peaks_near_thresholds()
    peaks = peaks[peaks >= 2.0**-126]
    found = quantizer(element, E8M0(), 1, scale_rule=rule).quantize(peaks[:, None]).scales.ravel()
    largest = form.qmax * unit
    emax = floor(log2(largest))
    for peak, code in zip(peaks.tolist(), found.tolist(), strict=True):
        exact = Fraction(peak)
        exponent = np.frexp(peak)[1].item() - 1
        assert Fraction(2) ** exponent <= exact < Fraction(2) ** (exponent + 1)
        if rule == ScaleRule.EVEN and exact / Fraction(2) ** exponent >= 2 - Fraction(1, 2 ** (bits + 1)):
            exponent += 1
        if rule == ScaleRule.CEIL and exact > largest * Fraction(2) ** (exponent - emax):
            exponent += 1
        assert code == min(254, max(0, exponent - emax + 127)), peak


@pytest.mark.parametrize("rule", ScaleRule)
@pytest.mark.parametrize("element", MX)
@pytest.mark.parametrize("magnitude", [1e-37, 1.0, 1e37])
def test_mx_elements_are_rounded_and_saturated(element, rule, magnitude):
    x = samples(magnitude)
    result = quantizer(element, E8M0(), 32, scale_rule=rule).quantize(x)
    form, vectors = result.format.element, x.reshape(64, 5, 32).astype(np.float64)
    unit = 1 / 64 if element == "8" else 2.0**-form.fraction_bits
    scaled = np.clip(vectors / 2.0 ** (result.scales[..., None] - 127.0), -form.qmax * unit, form.qmax * unit)
    codes = np.rint(scaled * 64) if element == "8" else scaled.astype(DTYPES[element]).astype(np.float64) / unit
    np.testing.assert_array_equal(result.codes, codes)
    exact = codes * unit * 2.0 ** (result.scales[..., None] - 127.0)
    np.testing.assert_array_equal(result.dequantize(), exact.reshape(x.shape).astype(np.float32))
    assert result.gamma.item() == unit
    assert result.scales[3, 1] == 0, "a vector of zeros"
    if magnitude == 1 and rule == ScaleRule.CEIL:
        assert (np.abs(vectors) <= form.qmax * unit * 2.0 ** (result.scales[..., None] - 127.0)).all()


def test_four_over_six_takes_the_lesser_error():
    x = samples()
    plain, both = (quantizer("e2m1", UE4M3, four_over_six=on) for on in (False, True))
    result = both.quantize(x)
    assert result.gamma.item() == np.abs(x).max() / np.float32(6 * 256) / 1024
    vectors = x.reshape(64, 10, 16)
    candidates = []
    for top in (6, 4):
        s = np.abs(vectors).max(axis=2) / np.float32(2 * top)
        candidates.append(plain.quantize(x, gamma=result.gamma, vector_scales=s))
    errors = [
        np.square(each.dequantize().astype(np.float64) - x).reshape(64, 10, 16).sum(axis=2) for each in candidates
    ]
    clear = np.abs(errors[0] - errors[1]) > 1e-6 * errors[0]
    takes_four = errors[1] < errors[0]
    assert 0.2 < takes_four[clear].mean() < 0.8
    for name in ("scales", "codes"):
        six, four = (getattr(each, name) for each in candidates)
        wins = takes_four if name == "scales" else takes_four[..., None]
        expected, found = np.where(wins, four, six), getattr(result, name)
        np.testing.assert_array_equal(found[clear], expected[clear])
    assert np.array_equal(both.dequantized(x), result.dequantize())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"element": "4", "scale": UE4M3, "four_over_six": True}, "four over six: elements 4 with scales ue4m3"),
        (
            {"element": "e2m1", "scale": E8M0(), "four_over_six": True},
            "four over six: elements e2m1 with scales e8m0, but it is for e2m1 with ue4m3 or ue5m3",
        ),
        ({"element": "e2m1", "scale": UE4M3, "scale_rounding": "ceil"}, "scale rounding ceil: scales ue4m3 are not"),
        ({"element": "e2m1", "scale": E8M0(), "order": "paper"}, "order paper: scales e8m0 are powers of two"),
        ({"element": "e2m1", "scale": E8M0(), "scale_rule": "round"}, "scale rule 'round': choose one of floor, ceil"),
    ],
)
def test_options_that_do_not_meet_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        quantizer(**options)


@pytest.mark.parametrize("scale", [UE4M3, E8M0()], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(scale, bad):
    x = samples()
    x[2, 7] = bad
    with pytest.raises(InputError, match=r"weights\[2, 7\] = (nan|inf): must be finite"):
        quantizer("e2m1", scale).quantize(x, name="weights")
    with pytest.raises(InputError, match=r"gamma of weights: scales e8m0 hold every magnitude"):
        quantizer("e2m1", E8M0()).quantize(samples(), gamma=1.0, name="weights")


def test_exponents_of_e8m0_are_exact():
    codes = np.arange(255)
    reals = E8M0().reals(codes)
    assert [Fraction(real) for real in reals.tolist()] == [Fraction(2) ** (code - 127) for code in codes.tolist()]
    assert reals.tobytes() == codes.astype(np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float32).tobytes()
    np.testing.assert_array_equal(E8M0().codes(reals), codes)
    np.testing.assert_array_equal(E8M0().nearest(np.float32([3, 2.9, 0.74, 0])), np.float32([4, 2, 0.5, 2.0**-127]))
    np.testing.assert_array_equal(E8M0().decode(E8M0().encode(codes)), codes)
    with pytest.raises(InputError, match=r"scales\[0\] = 255: format e8m0 holds exponents 0 to 254"):
        E8M0().check(np.array([255]), "scales")


@pytest.mark.parametrize("element", ["e2m1", "e2m3", "e3m2", "e4m3", "e5m2", "8"])
def test_ceil_clips_nothing_in_the_last_binade_of_float32(element):
    largest = np.float32(0.98) * np.finfo(np.float32).max  # MXINT8 ends at 127/64 of 2^127
    x = np.float32([[largest, -largest / 3, 1, 0], [largest / 2, 0, 0, 1]])
    made = quantizer(element, E8M0(), scale_rule="ceil")
    result = made.quantize(x)
    fmt = element_format(element)
    reals = result.scales.astype(int).ravel() - 127
    codes = np.abs(result.codes[..., 0].ravel().astype(object))
    unit = 2 ** (fmt.fraction_bits or fmt.bits - 2)
    for code, exponent, value in zip(codes, reals.tolist(), [largest, largest / 2], strict=True):
        assert Fraction(int(code), unit) * Fraction(2) ** exponent >= Fraction(float(value)) * Fraction(7, 8)
        assert Fraction(float(value)) <= Fraction(fmt.qmax, unit) * Fraction(2) ** exponent
        assert Fraction(float(value)) > Fraction(fmt.qmax, unit) * Fraction(2) ** (exponent - 1)


def test_a_vector_of_a_static_gamma_saturates():
    result = quantizer("e2m1", UE4M3).quantize(samples(), gamma=2.0**-20)
    assert result.scales.max() == UE4M3.max
    paper = quantizer("e2m1", UE4M3, order=Order.PAPER).quantize(samples())
    assert np.abs(paper.codes).max() == 12
