"""The configuration of the processing element."""

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig, configuration


@pytest.mark.parametrize(
    "text",
    [
        "4/4/4/6",
        "4/4/4/6@",
        "4/4U/4/6:V=4,R=6@lanes=8",
        "8/8/-/-@weight_depth=1,activation_depth=8",
        "4/4/8/8:V=64@ppu=off,lanes=5",
        "4/8/6/10@multiplier_bits=16",
        "4/4/4/6@lanes=32,reuse=4",
    ],
)
def test_text_form_is_read_back(text):
    config = PeConfig.parse(text)
    assert PeConfig.parse(config.full_name) == configuration(config.full_name) == config
    assert config.slug.isidentifier()


def test_defaults_and_options():
    config = PeConfig.parse("4/4/4/6:V=8", lanes=16)
    assert config == PeConfig(mac=MacConfig.parse("4/4/4/6:V=8"), lanes=16)
    assert PeConfig.parse("4/4/4/6:V=8").lanes == 8
    assert PeConfig.parse("4/4/4/6:V=8").full_name == "4/4/4/6:V=8@"


@pytest.mark.parametrize(
    ("text", "z_range", "bias_bits"),
    [
        ("4/4/4/6", (-441, 441), 11),
        ("4/4U/4/6", (0, 945), 12),
        ("8/8/-/-", (-127, 127), 9),
        ("2/2/1/1:V=1", (-1, 1), 3),
        ("16/16/16/16:V=1", (-2147385345, 2147385345), 33),
    ],
)
def test_range_of_z(text, z_range, bias_bits):
    config = PeConfig.parse(text)
    assert config.z_range == z_range
    assert config.bias_bits == bias_bits
    assert 1 << (config.bias_bits - 1) > 2 * z_range[1]


def test_the_accumulator_holds_what_the_weight_buffer_holds():
    config = PeConfig.parse("4/4/4/6@weight_depth=8")
    assert config.mac == MacConfig.parse("4/4/4/6:max_vectors=8")
    assert config.full_name == "4/4/4/6@weight_depth=8"
    for mac in ("4/4/4/6:acc=20", "4/4/4/6:max_vectors=40"):
        config = PeConfig.parse(f"{mac}@weight_depth=8")
        assert config.mac == MacConfig.parse(mac)
        assert PeConfig.parse(config.full_name) == config


def test_the_largest_shift_leaves_nothing():
    config = PeConfig.parse("4/4/4/6")
    most = (1 << (config.mac.acc_bits - 1)) * ((1 << config.multiplier_bits) - 1)
    assert most * 2 < 1 << ((1 << config.shift_bits) - 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4/4/4/6@lanes=0", "lanes = 0: must be a whole number from 1 to 64"),
        ("4/4/4/6@lanes=80", "lanes = 80"),
        ("4/4/4/6@lanes=24", "give a multiple of V"),
        ("4/4/8/8:V=128", "lanes = 128"),
        ("4/4/4/6@weight_depth=0", "weight_depth = 0"),
        ("4/4/4/6@activation_depth=24", "activation_depth = 24: banks are powers of two; give 32"),
        ("4/4/4/6@multiplier_bits=33", "from 1 to 32"),
        ("4/4/4/6@reuse=3", "reuse = 3: must be a power of two; give 4"),
        ("4/4/4/6@reuse=9", "reuse = 9: must be a whole number from 1 to 8"),
        ("4/4/4/6@ppu=maybe", "ppu = maybe: choose off or on"),
        ("4/4/4/6@banks=2", "option 'banks=2'"),
        ("4/4/4/6@lanes=16,lanes=16", "given twice"),
        ("4/4/4@lanes=16", "four parts"),
    ],
)
def test_bad_input_is_one_clear_line(text, message):
    with pytest.raises(InputError, match=message) as caught:
        PeConfig.parse(text)
    assert "\n" not in str(caught.value)
