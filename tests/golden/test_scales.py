"""Scale formats: their values and significands against ml_dtypes, and their spelling in a configuration."""

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.elements import IntFormat, element_format
from vsq.golden.formats.scales import NAMED, scale_format, spell_scale

UE4M3 = NAMED["ue4m3"]


def test_ue4m3_is_the_positive_half_of_e4m3():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    patterns = np.arange(127, dtype=np.uint8)
    values = patterns.view(ml_dtypes.float8_e4m3fn).astype(np.float64) * 2**9
    assert list(UE4M3.values) == UE4M3.decode(patterns).tolist() == values.tolist()
    assert UE4M3.encode(np.array(UE4M3.values)).tolist() == UE4M3.patterns(values).tolist() == patterns.tolist()
    assert (UE4M3.bits, UE4M3.fraction_bits, UE4M3.min, UE4M3.max, UE4M3.unused) == (7, 9, 0, 14 << 14, (0x7F,))
    assert not UE4M3.signed
    assert UE4M3.patterns(np.zeros(4, int)).tolist() == [0, 0, 0, 0]
    assert UE4M3.corners == [0, 1, 8, 14 << 14]
    x = np.random.default_rng(0).uniform(-1, 450, 5000).astype(np.float32)
    rounded = x.clip(0).astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
    assert (UE4M3.nearest(x * 2**9) / 2**9).tolist() == rounded.tolist()


@pytest.mark.parametrize("fmt", [UE4M3, IntFormat(bits=5, signed=False), element_format("e2m1")], ids=str)
def test_significand_and_exponent(fmt):
    values = np.array([value for value in fmt.values if value >= 0])
    significands, exponents = fmt.split(values)
    assert (significands << exponents).tolist() == values.tolist()
    assert int(significands.max()).bit_length() == fmt.significand_bits
    if not isinstance(fmt, IntFormat):
        fields = fmt.encode(values).astype(int) >> fmt.mantissa_bits
        assert exponents.tolist() == (fields.clip(1) - 1).tolist()
    exponents = np.broadcast_to(exponents, values.shape).tolist()
    assert [fmt.split(value) for value in values.tolist()] == [*zip(significands.tolist(), exponents, strict=True)]


def test_spelling():
    config = MacConfig.parse("e2m1/e2m1/ue4m3/6:V=16,R=8")
    assert config.scales == (UE4M3, IntFormat(bits=6, signed=False))
    assert MacConfig.parse(config.full_name) == config
    assert config.full_name == "e2m1/e2m1/ue4m3/6:R=8"
    assert config.slug == "we2m1_ae2m1_wsue4m3_as6_v16_r8"
    assert [spell_scale(scale_format(text)) for text in ("-", "4", "16", "ue4m3")] == ["-", "4", "16", "ue4m3"]
    assert MacConfig.parse("e2m1/e2m1/ue4m3/ue4m3").acc_bits == 56
    assert MacConfig.parse("4/4/ue4m3/ue4m3:narrow=1").acc_bits == 55


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4/e4m3/4", "'e4m3': scale bits are 1 to 16; write these as in '4', or ue4m3, ue5m3, e8m0, or '-'"),
        ("4/4/UE4M3/4", "'UE4M3': scale bits"),
        ("ue4m3/4/4/4", "'ue4m3': not one of"),
        ("4/4/ue4m3/ue4m3:R=9", "has a scale product of 8 bits"),
        ("4/4/ue4m3/-:R=5", "has a scale product of 4 bits"),
        ("4/4/1/ue4m3:R=1,round=truncate", "every scale product of 4/4/1/ue4m3 becomes 0"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(InputError) as refused:
        MacConfig.parse(text)
    assert message in str(refused.value)


def test_what_is_no_scale_is_refused():
    UE4M3.check(np.array(UE4M3.values), "scales")
    values = "integers of at most 4 significant bits from 0 to 229376, in units of 2^-9"
    for number in (-1, 17, UE4M3.max + 1, 15 << 14):
        with pytest.raises(InputError) as refused:
            UE4M3.check(np.array([0, number]), "scales")
        assert f"scales[1] = {number}: format ue4m3 holds {values}" in str(refused.value)
    with pytest.raises(InputError, match="scale e2m1: scales are unsigned"):
        MacConfig.parse("4/4/4/4", weight_scale=element_format("e2m1"))


def test_post_processing_has_scales_of_either_kind():
    assert PeConfig.parse("4/4/ue4m3/ue4m3").floats
    assert not PeConfig.parse("4/4/ue4m3/4").floats
