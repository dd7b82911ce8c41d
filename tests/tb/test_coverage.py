import numpy as np
import pytest

from vsq.golden.contract.config import PRESETS, MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus.stream import Beats, complete, overflow_directions
from vsq.tb.coverage import points
from vsq.tb.coverage.points import closure, merge, missing
from vsq.tb.coverage.traffic import HANDSHAKES, Traffic
from vsq.tb.designs import CLOSING_BEATS, ENVIRONMENTS, OVERFLOW
from vsq.tb.regression.covering import full_regression
from vsq.tb.regression.job import Job
from vsq.tb.regression.worker import verdict

F, L, FL, N = (True, False), (False, True), (True, True), (False, False)  # first, last

POINTS = ENVIRONMENTS["mac"].points


def hits(seen):
    return points.hits(POINTS, seen)


def traffic(text, rows, compared=None):
    """Beats given as (weights, activations, weight scale, activation scale, marks), all of their results compared."""
    config = MacConfig.parse(text)
    weights, activations, *scales, marks = (np.array(column) for column in zip(*rows, strict=True))
    formats = (config.weight_scale, config.activation_scale)
    sw, sa = (column if fmt else None for column, fmt in zip(scales, formats, strict=True))
    offsets = np.zeros(len(rows), np.int64) if config.window else None
    stream = Beats(weights, activations, sw, sa, *marks.astype(np.bool_).T, offsets)
    trace = mac(config, **vars(stream), trace=True).trace
    return Traffic(config, [(stream, trace)], compared=len(rows) if compared is None else compared)


def hit(point, seen):
    return {name for name, count in hits(seen)[point].items() if count}


def plain(text, point, *rows):
    """Bins hit by beats without scales."""
    return hit(point, traffic(text, [(w, a, 1, 1, marks) for w, a, marks in rows]))


def scaled(text, point, *products, d=1):
    """Bins hit by single vectors with these pairs of scales."""
    return hit(point, traffic(text, [([d], [1], sw, sa, FL) for sw, sa in products]))


def sums(text, point, *terms):
    """Bins hit by terms w * 1, given as (w, marks); the others are two lanes or more of the same."""
    return hit(point, traffic(text, [([w], [1], 1, 1, marks) for w, marks in terms]))


# Operands -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "bins"), [(2, 3), (3, 7), (4, 8)])
def test_every_bin_of_dual_precision_can_be_hit(bits, bins):
    """By all weights with all scales: those of 2 bits are exact, and no product of 3 rounds up to a power of two."""
    text = f"{bits}/3/ue4m3/-:V=1,dpq=1"
    config = MacConfig.parse(text)
    rows = [([w], [1], sw, 1, FL) for w in config.weight.values for sw in config.weight_scale.values]
    assert len(hit("cp_dual_precision", seen := traffic(text, rows))) == bins
    assert len(hits(seen)["cp_dual_precision"]) == bins


def test_corner_codes_count_beside_a_nonzero_operand():
    assert plain("3/3U/-/-:V=2", "cp_weight_corners", ([-4, 1], [1, 7], FL)) == {"element 0 = -4", "element 1 = 1"}
    assert plain("3/3U/-/-:V=2", "cp_weight_corners", ([2, 3], [1, 0], FL)) == set()
    assert plain("3/3U/-/-:V=2", "cp_activation_corners", ([0, -2], [7, 7], FL)) == {"element 1 = 7"}


def test_corner_codes_are_those_of_the_format():
    def codes(text, point):
        return {name.partition(" = ")[2] for name in hits(Traffic(MacConfig.parse(text)))[point]}

    assert codes("3/3U/-/-:V=2", "cp_weight_corners") == {"-4", "-1", "0", "1", "3"}
    assert codes("3/3U/-/-:V=2,narrow=1", "cp_weight_corners") == {"-3", "-1", "0", "1", "3"}
    assert codes("3/3U/-/-:V=2", "cp_activation_corners") == {"0", "1", "7"}
    assert codes("1U/3/-/-", "cp_weight_corners") == {"0", "1"}


def test_both_operands_at_an_end():
    found = plain("3/3U/-/-:V=2", "cp_operand_extremes", ([-4, 3], [7, 6], FL), ([3, 3], [7, 0], FL))
    assert found == {"element 0: -4 * 7", "element 0: 3 * 7", "element 1: 3 * 0"}


def test_one_lane_alone():
    rows = [([1, 0, 2], [1, 1, 0], FL), ([1, 1, 0], [1, 1, 1], FL), ([0, 0, 0], [1, 1, 1], FL)]
    assert plain("3/3U/-/-:V=3", "cp_one_hot", *rows) == {"element 0"}


def test_dot_products():
    point, text = "cp_dot_product", "3/3U/-/-:V=2"
    assert plain(text, point, ([3, 3], [7, 7], FL)) == {"largest"}
    assert plain(text, point, ([-4, -4], [7, 7], FL)) == {"smallest"}
    assert plain(text, point, ([2, -2], [3, 3], FL)) == {"zero, products cancel"}
    assert plain(text, point, ([2, 0], [0, 3], FL)) == {"zero, no product"}
    assert plain(text, point, ([3, 2], [7, 7], FL)) == set()
    assert set(hits(Traffic(MacConfig.parse("3U/3U/-/-")))[point]) == {"largest", "zero, no product"}
    assert "zero, products cancel" not in hits(Traffic(MacConfig.parse("3/3/-/-:V=1")))[point]


# Scales ---------------------------------------------------------------------------------------------------------


def test_scale_values():
    assert scaled("4/4/2/6:V=1", "cp_weight_scale", (3, 1), (0, 1)) == {"3", "0"}
    assert scaled("4/4/2/6:V=1", "cp_activation_scale", (1, 1), (1, 63)) == {"1", "0 to 3", "63", "60 to 63"}
    assert scaled("4/4/2/6:V=1", "cp_activation_scale", (1, 9), d=0) == set()
    assert scaled("4/4/2/6:V=1", "cp_scale_corners", (3, 63), (3, 62), (0, 1)) == {"3 * 63", "0 * 1"}


def test_rounding_of_scale_products():
    point, text = "cp_scale_rounding", "4/4/4/4:V=1,R=6"  # s = 2
    assert scaled(text, point, (1, 2)) == {"tie, even quotient"}
    assert scaled(text, point, (3, 2)) == {"tie, odd quotient"}
    assert scaled(text, point, (1, 5)) == {"below a tie"}
    assert scaled(text, point, (1, 7)) == {"above a tie"}
    assert scaled(text, point, (2, 6)) == {"exact"}
    assert scaled(text, point, (0, 6)) == set()
    assert scaled(text, point, (3, 2), d=0) == set()


@pytest.mark.parametrize("text", ["4/4/4/5", "4/4/1/3", "4/4/6/-", "4/4/-/2", "4/4/1/1"])
def test_rounding_bins_are_those_that_some_scales_reach(text):
    exact = MacConfig.parse(text)
    sides = [range(fmt.max + 1) if fmt else [1] for fmt in (exact.weight_scale, exact.activation_scale)]
    pairs = [(sw, sa) for sw in sides[0] for sa in sides[1]]
    for bits in range(1, exact.full_product_bits):
        for mode in ("half_up", "half_even", "truncate"):
            name = f"{text}:V=1,R={bits},round={mode}"
            try:
                MacConfig.parse(name)
            except InputError:  # every product would become 0
                continue
            seen = hits(traffic(name, [([1], [1], sw, sa, FL) for sw, sa in pairs]))
            for point in ("cp_scale_rounding", "cp_rounding_overflow"):
                assert all(seen.get(point, {}).values()), (name, point)
            unit = 1 << (exact.full_product_bits - bits)
            rests = {(sw * sa % unit, sw * sa // unit % 2) for sw, sa in pairs if sw * sa}
            kinds = {("tie", odd) if 2 * rest == unit else (rest and np.sign(2 * rest - unit)) for rest, odd in rests}
            assert len(seen["cp_scale_rounding"]) == len(kinds), name


def test_rounding_up_to_the_top():
    assert scaled("4/4/4/-:V=1,R=3", "cp_rounding_overflow", (14, 1)) == set()
    assert scaled("4/4/4/-:V=1,R=3", "cp_rounding_overflow", (15, 1)) == {"r = 2^R - 1"}
    for text in ("4/4/4/-:R=3,round=truncate", "4/4/4/4:R=6", "4/4/4/4"):
        assert "cp_rounding_overflow" not in hits(Traffic(MacConfig.parse(text))), text
    mixed = "2/2/e8m0/ue4m3:V=1,window=22,R=2"  # the powers of two have no significand
    assert scaled(mixed, "cp_rounding_overflow", (0, 13)) == set()
    assert scaled(mixed, "cp_rounding_overflow", (9, 14)) == {"r = 2^R - 1"}


def test_factors_of_zero():
    point, text = "cp_zero_factor", "4/4/4/4:V=1,R=6"
    full = ([1], [1], 4, 4, F)
    assert hit(point, traffic(text, [full, ([1], [1], 0, 3, L)])) == {"sw = 0, not first"}
    assert hit(point, traffic(text, [full, ([1], [1], 3, 0, FL)])) == {"sa = 0, first"}
    assert hit(point, traffic(text, [full, ([1], [1], 1, 1, L)])) == {"p > 0, not first"}
    assert hit(point, traffic(text, [full, ([0], [1], 0, 3, L)])) == set()
    assert hit(point, traffic(text, [([1], [1], 0, 3, FL)])) == set()  # the register is 0 anyway
    assert set(hits(Traffic(MacConfig.parse("4/4/4/-")))[point]) == {"sw = 0, first", "sw = 0, not first"}
    assert point not in hits(Traffic(MacConfig.parse("4/4/-/-")))


# Accumulator ----------------------------------------------------------------------------------------------------

TIGHT = "4/2U/-/-:V=1,acc=4"  # -8 .. 7, terms w * 1


def test_saturation():
    point = "cp_saturation"
    assert sums(TIGHT, point, (7, F), (1, L)) == {"above"}
    assert sums(TIGHT, point, (7, F), (1, N), (-1, L)) == {"above", "above, then back in range"}
    assert sums(TIGHT, point, (-8, F), (-1, N), (1, L)) == {"below", "below, then back in range"}
    assert sums(TIGHT, point, (7, F), (1, L), (3, FL)) == {"above", "flag cleared"}
    assert sums(TIGHT, point, (7, F), (-1, L)) == set()
    assert sums(TIGHT, point, (7, F), (1, N), (3, FL)) == {"flag cleared"}  # nothing shows the abandoned sum


def test_saturation_applies_where_it_is_in_reach():
    for text in ("4/4/-/-:max_vectors=1000000", "4/4/-/-:acc=90", "4/4/-/-:acc=20,overflow=wrap"):
        assert "cp_saturation" not in hits(Traffic(MacConfig.parse(text))), text
    assert set(hits(Traffic(MacConfig.parse("4U/4U/-/-:acc=20")))["cp_saturation"]) == {"above", "flag cleared"}


def test_wrap():
    text = TIGHT + ",overflow=wrap"
    assert sums(text, "cp_wrap", (7, F), (1, L)) == {"above"}
    assert sums(text, "cp_wrap", (-8, F), (-1, L)) == {"below"}
    assert sums(text, "cp_wrap", (-8, F), (1, L)) == set()


@pytest.mark.parametrize("policy", ["saturate", "wrap"])
def test_limits(policy):
    text = f"{TIGHT},overflow={policy}"
    assert sums(text, "cp_limits", (7, FL)) == {"above: at the limit"}
    assert sums(text, "cp_limits", (7, F), (1, L)) == {"above: one beyond"}
    assert sums(text, "cp_limits", (-8, F), (-1, L)) == {"below: one beyond"}
    assert sums(text, "cp_limits", (7, F), (2, L)) == set()


def test_exact_bounds():
    text, point = "2/1U/-/-:V=1,max_vectors=3", "cp_exact_bound"
    assert sums(text, point, (1, F), (1, N), (1, L)) == {"largest sum"}
    assert sums(text, point, (-2, F), (-2, N), (-2, L)) == {"smallest sum"}
    assert sums(text, point, (-2, F), (-2, L)) == set()
    for other in ("4/4/-/-:acc=20", "4/4/-/-:max_vectors=1000000"):
        assert point not in hits(Traffic(MacConfig.parse(other)))


def test_results_and_cancellation():
    assert sums(TIGHT, "cp_results", (3, F), (-3, L), (1, FL), (-1, F)) == {"zero", "positive"}
    assert sums(TIGHT, "cp_cancellation", (3, F), (-3, L)) == {"from above"}
    assert sums(TIGHT, "cp_cancellation", (-3, F), (3, L)) == {"from below"}
    assert sums(TIGHT, "cp_cancellation", (3, F), (0, L)) == set()


# Marks ----------------------------------------------------------------------------------------------------------


def test_patterns_of_marks():
    point, once = "cp_marks", (1, FL)
    assert sums(TIGHT, point, once) == {"single vector"}
    assert sums(TIGHT, point, once, once) == {"single vector", "single vectors in succession"}
    assert sums(TIGHT, point, (1, F), *[(0, N)] * 30, (1, L)) == {"32 vectors or more"}
    assert sums(TIGHT, point, (1, F), *[(0, N)] * 29, (1, L)) == set()
    assert sums(TIGHT, point, (1, F), (1, L), (1, L)) == {"goes on after last"}
    assert sums(TIGHT, point, (1, F), (1, F), (1, L)) == {"abandoned before last"}


def test_the_first_vector_after_a_reset():
    text, point = "4/4/4/4:V=1", "cp_after_reset"
    assert hit(point, traffic(text, [([1], [1], 1, 1, FL)])) == {"first"}
    assert hit(point, traffic(text, [([1], [1], 1, 1, L)])) == {"not first"}
    assert hit(point, traffic(text, [([1], [1], 0, 1, L)])) == {"not first", "not first, r = 0"}
    assert hit(point, traffic(text, [([1], [1], 1, 1, N)])) == set()


def test_beats_count_only_when_a_compared_result_depends_on_them():
    rows = [([w], [1], 1, 1, marks) for w, marks in ((1, F), (-1, F), (0, L), (3, FL), (-8, FL))]
    assert hit("cp_weight_corners", traffic("4/4/-/-:V=1", rows, compared=4)) == {"element 0 = -1", "element 0 = 0"}


# Sums and verdicts ----------------------------------------------------------------------------------------------


def test_names_are_those_of_the_plan_and_unique():
    names = [point.name for point in POINTS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("cp_") for name in names)


def test_merging_and_closure():
    parts = [{"cp_a": {"x": 1, "y": 0}}, {"cp_a": {"x": 2, "y": 0}, "cp_b": {"z": 1}}]
    total = merge(parts)
    assert total == {"cp_a": {"x": 3, "y": 0}, "cp_b": {"z": 1}}
    assert missing(total) == {"cp_a": {"y": 0}}
    assert closure(total) == (1, 2)


def test_a_preset_that_misses_a_bin_fails():
    job = Job(config="4/4/4/6", simulator="icarus", seed=1)
    full = {point: dict.fromkeys(bins, 1) for point, bins in hits(Traffic(MacConfig.parse(job.config))).items()}
    [passed] = verdict(job, full)
    assert (passed.name, passed.failure) == ("coverage", "")
    full["cp_one_hot"]["element 3"] = 0
    del full["cp_marks"]["single vector"]
    [failed] = verdict(job, full)
    assert failed.failure.splitlines() == [
        f"2 of {len(full)} points miss bins",
        "cp_one_hot: element 3",
        "cp_marks: single vector",
    ]
    assert "and 72 more" in verdict(job, {})[0].failure  # 16 lanes of 5 corner codes


@pytest.mark.parametrize("change", [{"config": "4/4/4/6:V=8"}, {"beats": CLOSING_BEATS - 1}, {"beats": 1}])
def test_every_random_run_closes_the_overflows(change):
    job = Job(**{"config": "4/4/4/6", "simulator": "icarus", "seed": 1, **change})
    full = hits(Traffic(MacConfig.parse(job.config)))
    reached = {point: dict.fromkeys(full[point], 1) for point in OVERFLOW if point in full}
    assert set(reached) == {"cp_saturation", "cp_limits", "cp_exact_bound"}
    assert [outcome.failure for outcome in verdict(job, reached)] == [""]
    del reached["cp_saturation"]["below"]
    [failed] = verdict(job, reached)
    assert failed.failure.splitlines() == ["1 of 3 points miss bins", "cp_saturation: below"]


def test_streams_of_a_file_report_alone():
    assert verdict(Job(config="4/4/4/6", simulator="icarus", seed=1, playback="layer.npz"), {}) == []


def test_an_element_that_misses_a_bin_fails():
    job = Job(config="4/4/4/6:V=2@weight_depth=4", simulator="icarus", seed=1, beats=1)
    full = ENVIRONMENTS["pe"].reachable(job.design)
    hit = {point: dict.fromkeys(bins, 1) for point, bins in full.items()}
    assert [outcome.failure for outcome in verdict(job, hit)] == [""]
    hit["cp_pe_illegal"]["no rows"] = 0
    [failed] = verdict(job, hit)
    assert failed.failure.splitlines() == [f"1 of {len(full)} points miss bins", "cp_pe_illegal: no rows"]


@pytest.mark.parametrize("name", PRESETS)
def test_random_beats_close_the_datapath_of_every_preset(name):
    config = MacConfig.parse(name)
    for seed in range(3):
        stream = complete(config, CLOSING_BEATS, seed)
        seen = Traffic(config, [(stream, mac(config, **vars(stream), trace=True).trace)], compared=len(stream))
        others = {"cp_after_reset", *(point.name for point in HANDSHAKES)}
        assert set(missing(hits(seen))) <= others, seed


def test_the_stimulus_promises_what_coverage_demands():
    names = {1: "above: at the limit", -1: "below: at the limit"}
    edges = [MacConfig.parse("4/4U/-/-", accumulator_bits=bits) for bits in range(2, 40)]
    for config in [*full_regression(), *map(MacConfig.parse, PRESETS), *edges, MacConfig.parse("4U/4U/4/4")]:
        demanded = hits(Traffic(config)).get("cp_limits", {})
        promised = overflow_directions(config)
        assert {name for name in demanded if name in names.values()} == {names[end] for end in promised}, config


@pytest.mark.parametrize("seed", [1, 2])
def test_any_number_of_random_beats_closes_the_overflows(seed):
    for config in [*full_regression(), *map(MacConfig.parse, PRESETS), MacConfig.parse("1U/1U/-/-:V=1,max_vectors=1")]:
        stream = complete(config, 1, seed)
        seen = Traffic(config, [(stream, mac(config, **vars(stream), trace=True).trace)], compared=len(stream))
        job = Job(config=config.full_name, simulator="icarus", seed=seed, beats=1)
        assert [outcome.failure for outcome in verdict(job, hits(seen))] == [""], config
