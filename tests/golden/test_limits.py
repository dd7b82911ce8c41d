from fractions import Fraction

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.stimulus import directed as limits

CONFIGS = [
    "4/4U/4/6:V=3",
    "2/2/-/-:V=1",
    "1U/3/-/2:V=2",
    "1U/1U/-/-:V=1",
    "3/3/3/3:V=2,R=4,round=half_even",
    "4/4/2/2:V=1,R=1",
    "4/4/4/-:V=2,R=2,round=truncate",
    "3/3U/2/3:V=5,narrow=1",
    "16/16/16/16:V=3,R=7",
    "e2m1/e2m1/4/6:V=3",
    "4/e2m1/-/2:V=2",
    "e2m1/3U/2/-:V=1",
    "4/e4m3/4/-:V=3",
    "e5m2/e5m2/2/2:V=2",
]


def value(config, term):
    """The term by plain integers and fractions."""
    assert len(term.weights) == len(term.activations) == config.vector_size
    for code, fmt in [
        *((w, config.weight) for w in term.weights),
        *((a, config.activation) for a in term.activations),
        (term.weight_scale, config.weight_scale),
        (term.activation_scale, config.activation_scale),
    ]:
        assert code == 1 if fmt is None else code in fmt.values
    factor = term.weight_scale * term.activation_scale
    if config.scale_product_bits is not None:
        exact = Fraction(factor, 1 << config.scale_shift)
        factor = {"half_even": round(exact), "truncate": exact // 1, "half_up": (exact + Fraction(1, 2)) // 1}[
            str(config.rounding)
        ]
        factor = min(factor, (1 << config.scale_product_bits) - 1)
    return factor * sum(w * a for w, a in zip(term.weights, term.activations, strict=True))


@pytest.mark.parametrize("text", CONFIGS)
def test_terms_add_up_to_every_target(text):
    config = MacConfig.parse(text)
    low, high = config.term_range
    targets = {
        *range(max(2 * low, -300), 0),
        3 * low - 1 if low else 0,
        *range(1, min(2 * high, 300) + 1),
        3 * high + 1,
    }
    for target in targets - {0}:
        found = limits.terms(config, target)
        values = [value(config, term) for term in found]
        assert sum(values) == target
        assert all(0 < part / target <= 1 for part in values)
        assert limits.length(config, target) <= len(found)


@pytest.mark.parametrize("text", CONFIGS)
def test_extreme_sums_take_extreme_terms(text):
    config = MacConfig.parse(text)
    for end in (1, -1):
        extreme = config.term_range[end > 0]
        assert limits.length(config, 7 * extreme) == (7 if extreme else 0)
        if extreme:
            assert [value(config, term) for term in limits.terms(config, 7 * extreme)] == [extreme] * 7


def test_limits_of_the_range():
    config = MacConfig.parse("4/4/-/-:acc=9")
    assert (limits.limit(config, 1), limits.limit(config, -1)) == (255, -256)
