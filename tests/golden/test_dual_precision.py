"""Weights in dual precision in the integer model: every code against the definition and ml_dtypes."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats import fp8
from vsq.golden.model.datapath import BlockOperand, mac, matmul
from vsq.golden.model.dual_precision import decoded
from vsq.golden.stimulus.stream import complete, overflow_directions, unreached

CONFIG = MacConfig.parse("w4a8fp8")
SCALES = np.array(CONFIG.weight_scale.values)


def every_code():
    """Every weight with every scale: codes [127, 16], and scales [127] in units of 2^-9."""
    return np.broadcast_to(np.arange(-8, 8), (len(SCALES), 16)), SCALES


def test_every_product_is_the_nearest_of_e4m3():
    """The nearest in exact arithmetic, ties to the even significand, within 224; and what a cast of ml_dtypes gives."""
    codes, scales = every_code()
    found, values = decoded(codes, scales), np.array(CONFIG.multiplied.weight.values)
    for q, s, w8 in zip(codes.ravel().tolist(), scales.repeat(16).tolist(), found.ravel().tolist(), strict=True):
        distance = abs(values - q * s)
        nearest = values[distance == distance.min()].tolist()
        even = [value for value in nearest if abs(value) < 8 * (value & -value) or not value]  # of 3 bits
        assert w8 in (nearest if len(nearest) == 1 else even), (q, s)
    cast = fp8.encode(np.clip(codes * scales[:, None] / 512, -224, 224).astype(np.float32))
    assert (fp8.fixed_point(cast) == found).all()


def test_the_mac_multiplies_what_the_decoder_gives():
    seed = int(np.random.SeedSequence().entropy) % 2**63
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    config = MacConfig.parse("w4a8fp8:V=5")
    weights = BlockOperand(rng.integers(-8, 8, (3, 4, 5)), rng.choice(SCALES, (3, 4)))
    activations = BlockOperand(config.activation.sample(rng, (2, 4, 5)), None)
    expected = [
        [sum(int(w) * int(a) for w, a in zip(row.ravel(), x.ravel(), strict=True)) for row in decoded(*weights)]
        for x in activations.codes
    ]
    assert matmul(config, weights, activations).acc.tolist() == expected
    marks = np.arange(4) == 0, np.arange(4) == 3
    beats = mac(config, weights.codes[0], activations.codes[0], weights.scales[0], None, *marks)
    assert beats.acc.tolist() == [expected[0][0]]


@pytest.mark.parametrize("text", ["2/3/ue4m3/-:V=2", "3/3/ue4m3/-:V=2", "3/e2m1/ue4m3/-:V=4", "4/2U/ue4m3/-:V=1"])
def test_narrow_weights_reach_the_largest_sum_and_both_overflows(text):
    """The scale that makes the extreme weight 224 is no power of two."""
    config = MacConfig.parse(f"{text},dpq=1,max_vectors=20")
    assert (overflow_directions(config), unreached(config)) == ({1, -1}, "")
    stream = complete(config, 1, seed=1)
    trace = mac(config, **vars(stream), trace=True).trace
    assert set(trace.direction) == {-1, 0, 1}
    assert {20 * end for end in config.term_range} <= set(trace.acc[stream.last].tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5/e4m3/ue4m3/-:dpq=1", "weights are signed integers of at most 4 bits with scales ue4m3"),
        ("4U/e4m3/ue4m3/-:dpq=1", "weights are signed integers"),
        ("4/e4m3/4/-:dpq=1", "write 4/e4m3/ue4m3/-:dpq=1"),
        ("4/e4m3/ue4m3/4:dpq=1", "leave out R, window and the activations' scale"),
        ("w4a8fp8:window=40", "^4/e4m3/ue4m3/-, dpq = 1: there is no product of scales; leave out R, window"),
    ],
)
def test_other_formats_are_refused(text, message):
    with pytest.raises(InputError, match=message) as caught:
        MacConfig.parse(text)
    assert "\n" not in str(caught.value)
