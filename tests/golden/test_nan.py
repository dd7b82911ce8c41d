"""Infinity and NaN: the sticky flag of a stream and of a layer, and the promise that they never occur."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import element_format
from vsq.golden.formats.scales import NAMED
from vsq.golden.model.datapath import BlockOperand, mac, matmul
from vsq.golden.stimulus.stream import beats

CONFIGS = [
    "e4m3/2/-/-:V=2",
    "4/e5m2/ue4m3/6:V=3",
    "e2m1/e2m1/e8m0/e8m0:V=2,window=20",
    "e4m3/e5m2/e8m0/ue4m3:V=2,window=90",
]


def test_codes_of_infinity_and_nan_are_those_of_their_patterns():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    formats = {"e4m3": ml_dtypes.float8_e4m3fn, "e5m2": ml_dtypes.float8_e5m2, "e2m3": ml_dtypes.float6_e2m3fn}
    for name, dtype in formats.items():
        fmt = element_format(name)
        patterns = np.arange(1 << fmt.bits, dtype=np.uint8)
        finite = np.isfinite(patterns.view(dtype).astype(np.float32))
        assert sorted(fmt.nans) == sorted(fmt.decode(patterns[~finite]).tolist())
        assert sorted(fmt.encode(np.array(fmt.nans, int)).tolist()) == patterns[~finite].tolist()
        assert not set(fmt.nans) & set(fmt.values)
    assert [NAMED[name].encode(np.array(NAMED[name].nans)).tolist() for name in ("ue4m3", "e8m0")] == [[127], [255]]


@pytest.mark.parametrize("text", CONFIGS)
def test_invalid_is_sticky_and_all_else_is_as_without(text):
    config = MacConfig.parse(text, finite=False)
    stream = beats(config, 400, seed=7)
    formats = (config.weight, config.activation, *config.scales)
    columns = [stream.weights, stream.activations, stream.weight_scales, stream.activation_scales]
    nan = np.zeros(400, bool)
    for fmt, column in zip(formats, columns, strict=True):
        if fmt is not None:
            nan |= np.isin(column, fmt.nans).reshape(400, -1).any(axis=1)
    sticky, expected = False, []
    for bad, first in zip(nan.tolist(), stream.first.tolist(), strict=True):
        sticky = bad or (sticky and not first)
        expected.append(sticky)
    result = mac(config, **vars(stream), trace=True)
    assert result.trace.invalid.tolist() == expected
    assert result.invalid.tolist() == [flag for flag, last in zip(expected, stream.last, strict=True) if last]
    assert 0 < sum(expected) < 400
    assert result.state.invalid == expected[-1]
    finite = mac(MacConfig.parse(text), **vars(stream.select(~nan)))
    quiet = mac(config, **vars(stream.select(~nan)))
    assert (finite.acc.tolist(), finite.overflow.tolist()) == (quiet.acc.tolist(), quiet.overflow.tolist())
    assert not quiet.invalid.any()


@pytest.mark.parametrize("text", CONFIGS)
def test_a_result_of_a_layer_is_invalid_if_a_vector_of_it_is(text):
    config, rng = MacConfig.parse(text, finite=False), np.random.default_rng(3)
    sides = [
        BlockOperand(fmt.sample(rng, (5, 2, config.vector_size)), None if scale is None else scale.sample(rng, (5, 2)))
        for fmt, scale in zip((config.weight, config.activation), config.scales, strict=True)
    ]
    bad = np.zeros((2, 5), bool)
    for row, (side, fmt, scale) in enumerate(
        zip(sides, (config.weight, config.activation), config.scales, strict=True)
    ):
        if fmt.nans:
            side.codes[1, 0, 1], bad[row, 1] = fmt.nans[0], True
        if scale is not None and scale.nans:
            side.scales[3, 1], bad[row, 3] = scale.nans[-1], True
    result = matmul(config, *sides, offsets=0 if config.window else None)
    assert result.invalid.tolist() == (bad[1][:, None] | bad[0]).tolist()


@pytest.mark.parametrize("text", CONFIGS)
def test_a_finite_design_refuses_them_in_one_line(text):
    stream = beats(MacConfig.parse(text, finite=False), 400, seed=7)
    with pytest.raises(InputError, match="or give finite=0: it is infinity or NaN"):
        mac(MacConfig.parse(text), **vars(stream))


def test_there_must_be_something_to_flag():
    with pytest.raises(InputError, match="finite = 0: no format of e2m1/4/6/- has infinity or NaN; leave it out"):
        MacConfig.parse("e2m1/4/6/-:finite=0")
    with pytest.raises(InputError, match="finite = 0: results of a processing element have no flag"):
        PeConfig.parse("e4m3/4/6/-:finite=0@ppu=off")
