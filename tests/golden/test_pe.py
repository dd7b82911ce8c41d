"""The processing element's model against loops over Python integers."""

from itertools import combinations

import numpy as np
import pytest

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.model.pe import Command, ElementModel, Streams, concatenate
from vsq.golden.model.ppu import LaneParams, quantize, rescale
from vsq.golden.stimulus.commands import commands as random_commands


def streams(config, commands, seed=0, weights=0, activations=0, params=0):
    """Random beats, as many of each stream as asked for."""
    rng, mac = np.random.default_rng(seed), config.mac

    def codes(fmt, *shape):
        return rng.integers(fmt.min, fmt.max, shape, endpoint=True)

    def scales(fmt, count):
        return None if fmt is None else codes(fmt, count)

    return Streams(
        commands=commands,
        weights=BlockOperand(codes(mac.weight, weights, mac.vector_size), scales(mac.weight_scale, weights)),
        activations=BlockOperand(
            codes(mac.activation, activations, mac.vector_size), scales(mac.activation_scale, activations)
        ),
        params=LaneParams(
            rng.integers(0, 1 << config.multiplier_bits, params),
            rng.integers(8, 20, params),
            rng.integers(-50, 50, params),
        )
        if config.ppu
        else None,
    )


def accumulate(config, beats, rows, vectors, first_activation=0, first_weight=0):
    """Accumulators of one command by plain loops, for a full scale product and an accumulator that cannot overflow."""
    lanes = config.lanes
    out = []
    for row in range(rows):
        out.append([])
        for lane in range(lanes):
            acc = 0
            for vector in range(vectors):
                w, a = first_weight + vector * lanes + lane, first_activation + row * vectors + vector
                codes = beats.weights.codes[w].tolist(), beats.activations.codes[a].tolist()
                dot = sum(x * y for x, y in zip(*codes, strict=True))
                for column, beat in ((beats.weights.scales, w), (beats.activations.scales, a)):
                    dot *= 1 if column is None else int(column[beat])
                acc += dot
            out[-1].append(acc)
    return out


@pytest.mark.parametrize("text", ["4/4/4/6:V=4", "8/8/-/-:V=3@lanes=6", "4/8/-/3:V=4@lanes=5,ppu=off"])
def test_accumulators_equal_plain_loops(text):
    config = PeConfig.parse(text)
    lanes = config.lanes
    beats = streams(
        config,
        [Command(rows=3, vectors=2), Command(rows=1, vectors=5), Command(rows=2, vectors=3, load_weights=False)],
        weights=7 * lanes,
        activations=6 + 5 + 6,
    )
    results = ElementModel(config).run(beats)
    assert results[0].acc.tolist() == accumulate(config, beats, 3, 2)
    assert results[1].acc.tolist() == accumulate(config, beats, 1, 5, 6, 2 * lanes)
    assert results[2].acc.tolist() == accumulate(config, beats, 2, 3, 11, 2 * lanes)
    assert not any(result.overflow.any() for result in results)


def saturated(config, beats, rows, vectors, low, high):
    """Accumulators and flags of one command that loads all: plain integers, rows turned as the contract says."""
    lanes, reuse, out = config.lanes, config.reuse, []
    for row in range(rows):
        start = (row % reuse) * vectors // reuse
        for lane in range(lanes):
            acc, flag = 0, False
            for vector in [*range(start, vectors), *range(start)]:
                w, a = vector * lanes + lane, row * vectors + vector
                codes = beats.weights.codes[w].tolist(), beats.activations.codes[a].tolist()
                term = sum(x * y for x, y in zip(*codes, strict=True))
                term *= int(beats.weights.scales[w]) * int(beats.activations.scales[a])
                flag = flag or not low <= acc + term <= high
                acc = max(low, min(high, acc + term))
            out.append((acc, flag))
    return out


@pytest.mark.parametrize("seed", range(24))
def test_rows_that_share_weights_start_from_vectors_of_their_own(seed):
    rng = np.random.default_rng(seed)
    bits, reuse, lanes = int(rng.integers(8, 12)), int(rng.choice([1, 2, 4, 8])), int(rng.integers(1, 4))
    config = PeConfig.parse(f"3/3/2/2:V=2,acc={bits}@lanes={lanes},ppu=off,reuse={reuse}")
    rows, vectors = (int(rng.integers(1, most)) for most in (20, 12))
    print(f"{config}: {rows} rows of {vectors} vectors")
    beats = streams(
        config,
        [Command(rows=rows, vectors=vectors)],
        seed,
        weights=vectors * lanes,
        activations=rows * vectors,
    )
    [result] = ElementModel(config).run(beats)
    expected = saturated(config, beats, rows, vectors, -1 << (bits - 1), (1 << (bits - 1)) - 1)
    assert list(zip(result.acc.ravel().tolist(), result.overflow.ravel().tolist(), strict=True)) == expected


def test_the_order_of_accumulation_matters_where_it_saturates():
    orders = [PeConfig.parse(f"3/3/2/2:V=2,acc=6@lanes=2,ppu=off,reuse={reuse}") for reuse in (1, 2, 4, 8)]
    beats = streams(orders[0], [Command(rows=12, vectors=9)], weights=18, activations=108)
    accs = [ElementModel(config).run(beats)[0].acc.tolist() for config in orders]
    assert all(one != other for one, other in combinations(accs, 2))


def test_activations_and_parameters_stay_until_loaded_again():
    config = PeConfig.parse("4/4/4/6:V=4@lanes=8")
    command = {"rows": 2, "vectors": 1, "requantize": True}
    beats = streams(
        config,
        [Command(**command, load_params=True), Command(**command, load_activations=False, relu=True)],
        weights=16,
        activations=2,
        params=8,
    )
    results = ElementModel(config).run(beats)
    for number, result in enumerate(results):
        acc = np.array(accumulate(config, beats, 2, 1, 0, 8 * number))
        codes, scales = quantize(config, rescale(config, acc, beats.params, relu=number == 1).reshape(2, 2, 4))
        assert result.codes.tolist() == codes.tolist()
        assert result.scales.tolist() == scales.tolist()
        assert result.acc is None


ILLEGAL = [
    Command(rows=0, vectors=1),
    Command(rows=1, vectors=0),
    Command(rows=1, vectors=5),
    Command(rows=3, vectors=3),
    Command(rows=1, vectors=3, load_weights=False),
    Command(rows=3, vectors=2, load_activations=False),
    Command(rows=1, vectors=1, requantize=True),
]


@pytest.mark.parametrize("illegal", ILLEGAL)
def test_illegal_commands_change_nothing(illegal):
    config = PeConfig.parse("4/4/4/6:V=4@weight_depth=4,activation_depth=8")
    good = Command(rows=2, vectors=2)
    again = Command(rows=2, vectors=2, load_weights=False, load_activations=False)
    beats = streams(config, [good, illegal, again], weights=8, activations=4)
    first, flagged, second = ElementModel(config).run(beats)
    assert flagged.illegal
    assert not first.illegal
    assert first.acc.tolist() == second.acc.tolist()


def test_nothing_is_loaded_after_reset():
    config = PeConfig.parse("4/4/4/6:V=4")
    element = ElementModel(config)
    element.run(streams(config, [Command(rows=1, vectors=1)], weights=4, activations=1))
    assert element.loaded.is_legal(Command(rows=1, vectors=1, load_weights=False, load_activations=False))
    fresh = ElementModel(config)
    assert not fresh.loaded.is_legal(Command(rows=1, vectors=1, load_weights=False))
    assert not fresh.loaded.is_legal(Command(rows=1, vectors=1, load_activations=False))


@pytest.mark.parametrize(
    ("text", "command", "beats", "message"),
    [
        ("4/4/4/6:V=4", {"rows": 1, "vectors": 1}, (3, 1), "weights: 3 beats, but the commands take 4;"),
        ("4/4/4/6:V=4", {"rows": 1, "vectors": 1}, (4, 2), "activations: 2 beats, but the commands take 1;"),
        ("4/4/4/6:V=4", {"rows": 512, "vectors": 1}, (0, 0), "rows = 512 does not fit the 9-bit port"),
        ("4/4/4/6:V=4@ppu=off", {"rows": 1, "vectors": 1, "requantize": True}, (0, 0), "has no post-processing"),
    ],
)
def test_bad_streams_are_refused(text, command, beats, message):
    config = PeConfig.parse(text)
    with pytest.raises(InputError, match=message):
        ElementModel(config).run(streams(config, [Command(**command)], weights=beats[0], activations=beats[1]))


def test_concatenated_streams_give_the_results_of_each():
    config = PeConfig.parse("4/4/4/6:V=4")
    command = Command(rows=1, vectors=2, load_params=True, requantize=True)
    parts = [streams(config, [command], seed, weights=8, activations=2, params=4) for seed in (1, 2)]
    whole = ElementModel(config).run(concatenate(parts))
    for part, result in zip(parts, whole, strict=True):
        (alone,) = ElementModel(config).run(part)
        assert result.codes.tolist() == alone.codes.tolist()


def test_random_commands_overflow_in_both_directions():
    """Of every lane, in results that are handed out raw."""
    config = PeConfig.parse("2/3U/2/2:V=2,R=3,acc=8@lanes=2,weight_depth=2,activation_depth=4,multiplier_bits=4")
    _, results = random_commands(config, 120, seed=1)
    raw = [result for result in results if result.acc is not None]
    for limit in (-128, 127):
        assert any(((result.acc == limit) & result.overflow).all() for result in raw)
