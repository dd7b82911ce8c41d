"""E4M3 against PyTorch's casts, and exact sums against Python integers."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.formats import fp8

CODES = np.arange(256, dtype=np.uint8)


def neighbourhood():
    """Return every value, every midpoint, and the float32 numbers just around them, of both signs."""
    finite = np.sort(fp8.decode(CODES[:127])).astype(np.float64)
    points = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2, [464.0, 480.0, 1e30, np.inf]]).astype(np.float32)
    around = np.concatenate([points, np.nextafter(points, np.float32(0)), np.nextafter(points, np.float32(np.inf))])
    return np.concatenate([around, -around, np.float32([np.nan])])


def test_decoding_follows_the_bits():
    """Sign, exponent and mantissa read as the format says, with Python's own arithmetic."""
    for code in range(256):
        sign, exponent, mantissa = code >> 7, code >> 3 & 15, code & 7
        value = fp8.decode(CODES)[code]
        if code & 0x7F == 0x7F:
            assert np.isnan(value)
        else:
            expected = Fraction(mantissa, 8) + (exponent > 0)
            assert Fraction(float(value)) == (-1) ** sign * expected * Fraction(2) ** (max(exponent, 1) - 7)


def test_encoding_decodes_back():
    finite = CODES[CODES & 0x7F != 0x7F]
    np.testing.assert_array_equal(fp8.encode(fp8.decode(finite)), finite)


def test_casts_equal_pytorch():
    torch = pytest.importorskip("torch")
    codes = torch.tensor(CODES).view(torch.float8_e4m3fn)
    np.testing.assert_array_equal(fp8.decode(CODES), codes.float().numpy())
    values = np.concatenate([neighbourhood(), np.random.default_rng(0).standard_normal(100_000).astype(np.float32)])
    theirs = torch.tensor(values).to(torch.float8_e4m3fn).view(torch.uint8).numpy()
    finite = np.abs(values) <= 464  # versions of PyTorch differ beyond: NaN or 448
    assert (~finite).sum() > 10
    np.testing.assert_array_equal(fp8.encode(values[finite]), theirs[finite])
    assert ((fp8.encode(values[~finite]) & 0x7F) == 0x7F).all()


def test_casts_round_to_the_nearest_and_ties_to_even():
    """Float32 numbers at, and one step beside, every value and midpoint, against fractions; beyond 464 there is NaN."""
    finite = [Fraction(float(v)) for v in fp8.decode(CODES[:127])] + [Fraction(480)]
    points = np.float32([*map(float, finite), *(float(a + b) / 2 for a, b in pairwise(finite))])
    points = np.concatenate([points, np.nextafter(points, np.float32(0)), np.nextafter(points, np.float32(np.inf))])
    expected = [min(range(128), key=lambda code: (abs(finite[code] - Fraction(v)), code & 1)) for v in points.tolist()]
    assert expected.count(0x7F) > 3
    np.testing.assert_array_equal(fp8.encode(points), expected)
    np.testing.assert_array_equal(fp8.encode(-points), np.array(expected) | 0x80)
    assert (fp8.encode(np.array([1e300, -np.inf, np.nan])) & 0x7F == 0x7F).all()


def test_all_products_are_exact():
    """All 254 x 254 products, as sums of one term, against fractions."""
    finite = CODES[CODES & 0x7F != 0x7F][:, None]
    values = [Fraction(float(v)) for v in fp8.decode(finite)[:, 0]]
    expected = [[int(a * b * 2**18) for b in values] for a in values]
    assert expected[126][126] == (448 * 512) ** 2
    np.testing.assert_array_equal(fp8.matmul(finite, finite), expected)


def test_sums_equal_python_integers():
    rng = np.random.default_rng(1)
    x, w = (rng.choice(CODES[CODES & 0x7F != 0x7F], (rows, 300)) for rows in (5, 7))
    left, right = fp8.fixed_point(x).tolist(), fp8.fixed_point(w).tolist()
    expected = [[sum(a * b for a, b in zip(r, s, strict=True)) for s in right] for r in left]
    np.testing.assert_array_equal(fp8.matmul(x, w), expected)


@pytest.mark.parametrize("terms", [1, 5, (1 << 17) - 1, 1 << 17, (1 << 17) + 3])
def test_the_longest_sums_stay_exact(terms):
    """K extreme products, less one smallest, which float64 would lose beyond 2^53: within the stated width."""
    x = np.full((1, terms + 1), 126, np.uint8)
    w = x.copy()
    x[0, 0], w[0, 0] = 0x81, 0x01
    total = int(fp8.matmul(x, w)[0, 0])
    assert total == terms * (448 * 512) ** 2 - 1
    assert total.bit_length() <= 36 + (terms - 1).bit_length()


def test_a_float32_accumulator_differs_where_it_must():
    """448^2 added to 2^-18 swallows it; without such a range both sums agree."""
    x = np.array([[126, 1]], np.uint8)
    assert fp8.matmul(x, x)[0, 0] % 2 == 1
    assert fp8.matmul_float32(x, x)[0, 0] == 448.0**2
    small = fp8.encode(np.arange(1, 9.0))[None]
    assert fp8.matmul_float32(small, small)[0, 0] == fp8.matmul(small, small)[0, 0] / 2**18 == 204


def test_nan_has_no_integer():
    with pytest.raises(InputError, match=r"w\[0, 1\] is NaN"):
        fp8.matmul(np.array([[1, 2]], np.uint8), np.array([[1, 0xFF]], np.uint8))
