import itertools
from fractions import Fraction
from math import floor, prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model.datapath import BlockOperand, State, mac, matmul, scale_factor

# The oracle: plain Python integers and fractions, one beat at a time, written from the contract ------------------


def oracle_round(value: Fraction, mode: str) -> int:
    if mode == "truncate":
        return floor(value)
    if mode == "half_up":
        return floor(value + Fraction(1, 2))
    return round(value)  # Python rounds a fraction half to even


def oracle_factor(config: MacConfig, sw: int, sa: int) -> tuple[int, int]:
    p = sw * sa
    r_bits = config.scale_product_bits
    if r_bits is None:
        return p, p
    s, exponent = -r_bits, 0
    for scale, value in ((config.weight_scale, sw), (config.activation_scale, sa)):
        if str(scale) == "ue4m3":
            s += 4
            exponent += max(int(scale.encode(np.array(value))) >> 3, 1) - 1
        elif scale is not None:
            s += scale.bits
    significands = Fraction(p, 2**exponent)
    assert significands.denominator == 1
    return p, min(2**r_bits - 1, oracle_round(significands / 2**s, str(config.rounding))) * 2**exponent


def oracle(config, weights, activations, sw, sa, first, last, acc=0, sticky=False):
    low, high = -(2 ** (config.acc_bits - 1)), 2 ** (config.acc_bits - 1) - 1
    trace, results = [], []
    for b in range(len(weights)):
        d = sum(int(w) * int(a) for w, a in zip(weights[b], activations[b], strict=True))
        p, r = oracle_factor(config, 1 if sw is None else int(sw[b]), 1 if sa is None else int(sa[b]))
        t = d * r
        if first[b]:
            acc, sticky = 0, False
        acc += t
        direction = 1 if acc > high else -1 if acc < low else 0
        wrapped = (acc - low) % (high - low + 1) + low
        acc = max(low, min(high, acc)) if str(config.overflow) == "saturate" else wrapped
        sticky = sticky or direction != 0
        trace.append((d, p, r, t, acc, sticky, direction))
        if last[b]:
            results.append((acc, sticky))
    return trace, results, (acc, sticky)


def operands(config: MacConfig, rng: np.random.Generator, *shape: int):
    """Codes of all four operands, half of them at the ends of their range."""

    def codes(fmt, *size):
        if fmt is None:
            return None
        ends = rng.choice([fmt.min, fmt.max, 0], size)
        return np.where(rng.random(size) < 0.5, ends, fmt.sample(rng, size))

    return (
        codes(config.weight, *shape, config.vector_size),
        codes(config.activation, *shape, config.vector_size),
        codes(config.weight_scale, *shape),
        codes(config.activation_scale, *shape),
    )


def check_stream(config, beats, acc=0, sticky=False):
    trace, results, final = oracle(config, *beats, acc, sticky)
    got = mac(config, *beats, state=State(acc, sticky), trace=True)
    names = ("d", "p", "r", "t", "acc", "overflow", "direction")
    for name, expected in zip(names, zip(*trace, strict=True), strict=True):
        assert getattr(got.trace, name).tolist() == list(expected), name
    assert list(zip(got.acc.tolist(), got.overflow.tolist(), strict=True)) == results
    assert (got.state.acc, got.state.overflow) == final


# Exhaustive -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["2", "2U", "1U"])
@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("rounding", ["half_up", "half_even", "truncate"])
@pytest.mark.parametrize("r_bits", [None, 1, 2, 3, 4])
def test_every_code_and_scale_pair(activation, overflow, rounding, r_bits):
    config = MacConfig.parse(
        f"2/{activation}/2/2",
        vector_size=1,
        scale_product_bits=r_bits,
        rounding=rounding,
        accumulator_bits=4,
        overflow=overflow,
    )
    codes = range(config.weight.min, config.weight.max + 1), range(config.activation.min, config.activation.max + 1)
    beats = np.array(list(itertools.product(*codes, range(4), range(4), (0, 1))))
    w, a, sw, sa, first = beats.T
    check_stream(config, (w[:, None], a[:, None], sw, sa, first.astype(bool), np.ones(len(w), bool)))


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "truncate"])
@pytest.mark.parametrize("r_bits", range(1, 11))
def test_rounding_of_every_scale_pair(rounding, r_bits):
    config = MacConfig.parse("2/2/4/6", vector_size=1, scale_product_bits=r_bits, rounding=rounding)
    sw, sa = np.array(list(itertools.product(range(16), range(64)))).T
    ones = np.ones((len(sw), 1), int)
    marks = np.ones(len(sw), bool)
    trace = mac(config, ones, ones, sw, sa, marks, marks, trace=True).trace
    assert trace is not None
    assert trace.r.tolist() == [oracle_factor(config, int(x), int(y))[1] for x, y in zip(sw, sa, strict=True)]


@pytest.mark.parametrize("rounding", ["half_up", "half_even", "truncate"])
@pytest.mark.parametrize(
    ("scales", "r_bits"),
    [("ue4m3/ue4m3", 3), ("ue4m3/ue4m3", None), ("4/ue4m3", 5), ("ue4m3/-", 2), ("-/ue4m3", None), ("1/ue4m3", 2)],
)
def test_every_pair_of_float_scales(scales, r_bits, rounding):
    config = MacConfig.parse(f"2/2/{scales}", vector_size=1, scale_product_bits=r_bits, rounding=rounding)
    pairs = itertools.product(*([1] if fmt is None else fmt.values for fmt in config.scales))
    sw, sa = np.array([*pairs]).T
    _, factors = scale_factor(config, sw, sa)
    assert factors.tolist() == [oracle_factor(config, x, y)[1] for x, y in zip(sw.tolist(), sa.tolist(), strict=True)]
    assert factors.max() == config.scale_factor_max


# Random configurations ------------------------------------------------------------------------------------------


@st.composite
def configs(draw) -> MacConfig:
    def element() -> str:
        return draw(st.sampled_from(["1U", "2", "4", "4U", "5", "8", "8U", "16", "16U", "e2m1", "e4m3", "e5m2"]))

    elements = element(), element()
    scales = [draw(st.sampled_from(["-", "1", "4", "9", "16", "ue4m3"])) for _ in range(2)]
    widths = [4 if scale == "ue4m3" else int(scale) for scale in scales if scale != "-"]
    product = sum(widths)
    r_bits = draw(st.none() | st.integers(1, product)) if product else None
    rounding = draw(st.sampled_from(["half_up", "half_even", "truncate"]))
    if r_bits:  # a configuration in which no product survives the rounding is refused
        largest = prod(14 if scale == "ue4m3" else 2 ** int(scale) - 1 for scale in scales if scale != "-")
        assume(oracle_round(Fraction(largest, 2 ** (product - r_bits)), rounding) > 0)
    return MacConfig.parse(
        "/".join([*elements, *scales]),
        vector_size=draw(st.sampled_from([1, 3, 16, 256])),
        scale_product_bits=r_bits,
        rounding=rounding,
        narrow=draw(st.booleans()) and not all(element.startswith("e") for element in elements),
        accumulator_bits=draw(st.integers(2, 96) if "e5m2" in elements else st.none() | st.integers(2, 96)),
        overflow=draw(st.sampled_from(["saturate", "wrap"])),
    )


@settings(max_examples=150, deadline=None)
@given(configs(), st.integers(0, 2**32 - 1))
def test_stream_equals_oracle(config, seed):
    rng = np.random.default_rng(seed)
    marks = rng.random((2, 25)) < 0.3
    check_stream(config, (*operands(config, rng, 25), *marks), acc=-1, sticky=True)


@settings(max_examples=60, deadline=None)
@given(configs(), st.integers(0, 2**32 - 1))
def test_layer_equals_stream(config, seed):
    rng = np.random.default_rng(seed)
    (w, _, sw, _), (_, a, _, sa) = operands(config, rng, 4, 5), operands(config, rng, 3, 5)
    layer = matmul(config, BlockOperand(w, sw), BlockOperand(a, sa))
    first, last = np.arange(5) == 0, np.arange(5) == 4
    for m, n in itertools.product(range(3), range(4)):
        scales = (None if sw is None else sw[n], None if sa is None else sa[m])
        result = mac(config, w[n], a[m], *scales, first, last)
        assert layer.acc[m, n] == result.acc[0]
        assert layer.overflow[m, n] == result.overflow[0]
        assert layer.acc.dtype == result.acc.dtype


@pytest.mark.parametrize("overflow", ["saturate", "wrap"])
@pytest.mark.parametrize("bits", [2, 40, 63, 64, 70, 96])
def test_widest_operands_at_their_ends(overflow, bits):
    config = MacConfig.parse("16/16/16/16", vector_size=256, accumulator_bits=bits, overflow=overflow)
    w = np.full((6, 256), -(2**15))
    a = np.concatenate([np.full((3, 256), -(2**15)), np.full((3, 256), 2**15 - 1)])
    scales = np.full(6, 2**16 - 1)
    marks = np.array([True] + [False] * 5), np.ones(6, bool)
    check_stream(config, (w, a, scales, scales, *marks))


def test_blocks_of_a_large_layer(monkeypatch):
    monkeypatch.setattr("vsq.golden.model.datapath._BLOCK_ELEMENTS", 8)
    config = MacConfig.parse("4/4/4/6:V=4,acc=12")
    rng = np.random.default_rng(1)
    (w, _, sw, _), (_, a, _, sa) = operands(config, rng, 3, 4), operands(config, rng, 9, 4)
    blocked = matmul(config, BlockOperand(w, sw), BlockOperand(a, sa))
    monkeypatch.undo()
    whole = matmul(config, BlockOperand(w, sw), BlockOperand(a, sa))
    assert whole.overflow.any()
    assert np.array_equal(blocked.acc, whole.acc)
    assert np.array_equal(blocked.overflow, whole.overflow)


def test_chunks_equal_one_call():
    config = MacConfig.parse("4/4U/4/4:V=3,acc=9")
    rng = np.random.default_rng(2)
    beats = (*operands(config, rng, 40), *(rng.random((2, 40)) < 0.3))
    whole = mac(config, *beats)
    head = mac(config, *(x[:17] for x in beats))
    tail = mac(config, *(x[17:] for x in beats), state=head.state)
    assert np.concatenate([head.acc, tail.acc]).tolist() == whole.acc.tolist()
    assert np.concatenate([head.overflow, tail.overflow]).tolist() == whole.overflow.tolist()
    assert tail.state == whole.state


# Meaning of the marks and the flag ------------------------------------------------------------------------------


def run(config, codes, first, last):
    ones = np.ones((len(codes), 1), int)
    return mac(config, np.array(codes)[:, None], ones, None, None, np.array(first, bool), np.array(last, bool))


def test_last_clears_nothing_and_first_clears_both():
    config = MacConfig.parse("4/4/-/-:V=1,acc=4")
    result = run(config, [7, 7, -1, 2], first=[1, 0, 0, 1], last=[1, 1, 1, 1])
    assert result.acc.tolist() == [7, 7, 6, 2]
    assert result.overflow.tolist() == [False, True, True, False]


def test_the_accumulator_starts_at_zero_without_first():
    assert run(MacConfig.parse("4/4/-/-:V=1"), [5], first=[0], last=[1]).acc.tolist() == [5]


def test_a_term_wider_than_the_accumulator_clamps_exactly():
    config = MacConfig.parse("8/8/-/-:V=1,acc=2")
    result = run(config, [127, -128, 1], first=[1, 0, 0], last=[1, 1, 1])
    assert result.acc.tolist() == [1, -2, -1]


# Bad input ------------------------------------------------------------------------------------------------------

CONFIG = MacConfig.parse("4/4U/4/-:V=2")
GOOD = {
    "weights": np.zeros((3, 2), int),
    "activations": np.zeros((3, 2), int),
    "weight_scales": np.zeros(3, int),
    "activation_scales": None,
    "first": np.zeros(3, bool),
    "last": np.ones(3, bool),
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", np.full((3, 2), 8), r"weights\[0, 0\] = 8: format 4 holds -8 to 7"),
        ("activations", np.full((3, 2), -1), r"activations\[0, 0\] = -1: format 4U holds 0 to 15"),
        ("activations", np.zeros((3, 2)), "activations: dtype float64"),
        ("weight_scales", np.full(3, 16), r"weight_scales\[0\] = 16"),
        ("weights", np.zeros((3, 5), int), r"weights: shape \(3, 5\) where \(3, 2\) is needed"),
        ("weights", np.zeros((), int), r"weights: shape \(\)"),
        ("weight_scales", np.zeros(4, int), r"weight_scales: shape \(4,\) where \(3,\)"),
        ("weight_scales", None, "weight_scales: None, but the configuration has scales 4 there"),
        ("activation_scales", np.zeros(3, int), "activation_scales: given, but"),
        ("first", np.zeros(3, int), "first: int64"),
        ("last", np.zeros(2, bool), r"last: bool of shape \(2,\)"),
    ],
)
def test_bad_stream(name, value, message):
    mac(CONFIG, **GOOD)
    with pytest.raises(InputError, match=message):
        mac(CONFIG, **{**GOOD, name: value})


def test_bad_layer():
    w, sw = np.zeros((2, 3, 2), int), np.zeros((2, 3), int)
    with pytest.raises(InputError, match=r"activations: shape \(4, 5, 2\) where \(4, 3, 2\)"):
        matmul(CONFIG, BlockOperand(w, sw), BlockOperand(np.zeros((4, 5, 2), int), None))
    with pytest.raises(InputError, match=r"weights: shape \(3, 2\), but a layer's codes have 3 axes"):
        matmul(CONFIG, BlockOperand(w[0], sw), BlockOperand(w, None))
