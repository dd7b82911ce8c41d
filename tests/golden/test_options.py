"""Options of a configuration: declared once, and everything else follows."""

import random
from dataclasses import fields
from pathlib import Path

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import Option, declared, factors, table
from vsq.golden.contract.pe_config import PeConfig

ROOT = Path(__file__).parents[2]
FORMATS = {"weight", "activation", "weight_scale", "activation_scale", "mac"}


@pytest.mark.parametrize("config", [MacConfig, PeConfig])
def test_every_field_but_the_formats_is_an_option(config):
    assert {field.name for field in fields(config)} - FORMATS == {option.name for option in declared(config)}


@pytest.mark.parametrize("config", [MacConfig, PeConfig])
def test_the_documented_table_is_the_declaration(config):
    documents = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    assert any(table(config) in path.read_text() for path in documents), table(config)


def test_the_command_line_has_every_option_of_a_mac():
    from vsq.cli.main import parser

    with pytest.raises(SystemExit):
        parser().parse_args(["generate", "--help"])
    known = parser().parse_args(["generate", "4/4/4/6"])
    assert {option.name for option in declared(MacConfig)} <= set(vars(known))


def test_factors_are_the_options_with_few_values():
    assert {name: len(values) for name, values in factors(MacConfig).items()} == {
        "rounding": 3,
        "overflow": 2,
        "narrow": 2,
        "pipeline": 4,
        "arithmetic": 4,
    }
    assert factors(PeConfig) == {"ppu": (False, True), "reuse": (1, 2, 4, 8)}


def test_random_options_survive_the_text(record_property):
    seed = random.randrange(1 << 32)
    record_property("seed", seed)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(300):
        values = {option.name: _value(rng, option) for option in declared(MacConfig) if rng.random() < 0.5}
        try:
            config = MacConfig.parse("4/4U/4/6", **values)
        except InputError:  # they contradict each other
            continue
        assert MacConfig.parse(config.full_name) == config


def _value(rng: random.Random, option: Option) -> object:
    return rng.choice(option.values or range(option.low, min(option.high or 10, 1000) + 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vector_size": 0}, "V = 0: must be a whole number from 1 to 256"),
        ({"vector_size": True}, "V = True: must be a whole number"),
        ({"vector_size": 16.0}, "V = 16.0: must be a whole number"),
        ({"pipeline": -1}, "pipeline = -1: must be a whole number from 0 to 3"),
        ({"scale_product_bits": 11}, "R = 11: 4/4/4/6 has a scale product of 10 bits"),
        ({"rounding": "up"}, "round = up: choose one of half_up, half_even, truncate"),
        ({"narrow": 2}, "narrow = 2: choose 0 or 1"),
        ({"max_vectors": 0}, "max_vectors = 0: must be a whole number from 1 to"),
    ],
)
def test_values_beyond_an_option_are_refused(options, message):
    with pytest.raises(InputError) as error:
        MacConfig.parse("4/4/4/6", **options)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    "text", ["4/4/4/6:V=\uff11\uff16", "4/4/4/6:V=+4", "4/4/4/6@lanes=1e2", "4/4/4/6@ppu=1", "4/4/4/6:narrow=on"]
)
def test_texts_that_are_no_values_are_refused(text):
    with pytest.raises(InputError):
        (PeConfig if "@" in text else MacConfig).parse(text)
