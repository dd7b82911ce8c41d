from itertools import combinations, product

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus.stream import overflow_directions
from vsq.tb.regression.covering import full_regression

# Written from the requirement, not from the module under test.
CONFIGS = {
    "4/4/4/6": (1, 16, 64),
    "4/4U/4/4": (1, 16, 64),
    "4/8/6/10": (1, 16, 64),
    "6/6/4/4": (1, 16, 64),
    "3/3U/4/4": (1, 16, 64),
    "8/8/6/-": (1, 16, 64),
    "8/8U/-/-": (1, 16, 64),
    "6/8/-/10": (1, 16, 64),
    "5/7/3/9": (24,),
    "16/16/16/16": (3,),
}


def values(config: MacConfig) -> tuple:
    return (
        str(config),
        config.vector_size,
        config.scale_product_bits,
        str(config.rounding),
        str(config.overflow),
        config.accumulator_bits is not None,
        config.pipeline,
        str(config.arithmetic),
    )


def legal_rows():
    """Every combination of values that is legal, by brute force."""
    for text, bits, *others in product(
        CONFIGS,
        (None, 4, 6),
        ("half_up", "half_even", "truncate"),
        ("saturate", "wrap"),
        (False, True),
        (0, 1, 2, 3),
        ("behavioural", "bitheap", "carrysave", "lut"),
    ):
        scales = sum(int(part) for part in text.split("/")[2:] if part != "-")
        if bits is None or bits <= scales:
            for size in CONFIGS[text]:
                yield (text, size, bits, *others)


def pairs(row):
    return set(combinations(enumerate(row), 2))


def test_every_legal_pair_of_values_occurs_together():
    wanted = set().union(*map(pairs, legal_rows()))
    covered = set().union(*(pairs(values(config)) for config in full_regression()))
    assert len(wanted) > 300
    assert covered == wanted


def test_every_row_is_legal_and_different():
    rows = [values(config) for config in full_regression()]
    assert set(rows) <= set(legal_rows())
    assert len(set(rows)) == len(rows) < 60


def test_every_accumulator_overflows_both_ways():
    for config in full_regression():
        assert overflow_directions(config) == {1, -1}, config.full_name


def test_the_array_is_always_the_same():
    assert full_regression() == full_regression()
