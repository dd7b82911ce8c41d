"""Commands for a processing element: seeded random streams that reach its corners, and the beats that must come out."""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.model.accumulator import largest
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.model.pe import Command, CommandResult, ElementModel, Loaded, Streams, concatenate
from vsq.golden.stimulus import params, stream

_LONGEST_COMMAND = 24  # rows * vectors of all but a few random commands, at least
_MOST_VECTORS = 6  # of all but a few random commands, at least
_FULL_SHARE = 0.1  # commands that fill a buffer
_EXTREME_SHARE = 0.15  # commands whose accumulators go as far as they can, some of them requantized
_ENDS_SHARE = 0.2  # commands whose base of output scales is the least or the largest
_STEADY_SHARE = 0.7  # loads of scales `e8m0` that are near their middle, and commands whose offsets suit those
_BALANCED_SHARE = 0.5  # commands that load parameters and requantize, in whose first row every bit of z shows
_LIMIT_SHARE = 0.2  # commands as large as what is loaded permits, or one larger
_ILLEGAL_SHARE = 0.15
_VECTORS = {"load_weights": True, "load_activations": True}
_POST_PROCESSED = 16  # lanes that post-processing holds at most beside its last two vectors


def commands(
    config: PeConfig, count: int, seed: int, element: ElementModel | None = None
) -> tuple[Streams, list[CommandResult]]:
    """Return ``count`` random commands with their beats, and the model's results.

    They are for an element after reset, or for one in the state of ``element``, which stays as it is.

    The first ones, half of them at most, use what was never loaded, or are at the limits of what is. Of the others,
    rows and vectors are mostly small and sometimes fill a buffer; loads, requantization and ReLU are random, as far as
    the command is legal; some are at a limit or one beyond, and some illegal, as far as their ports can express it.
    Elements and scales are those of :func:`vsq.golden.stimulus.stream.beats`, but most exponents of a load are near
    their middle, where most offsets place terms in the window or next to it, and some commands have extreme ones
    alone, one direction for all their vectors, as sums or requantized; output parameters spread z over and beyond its
    range, or balance the sums of a row, so that every bit of its z shows in the codes.

    Raises:
        InputError: If ``count`` is not positive.
    """
    if count < 1:
        raise InputError(f"{count} commands: a stream has at least 1; ask for more")
    rng = np.random.default_rng(seed)
    element, parts, results = copy(element) if element else ElementModel(config), [], []
    opening = _opening(rng, config, element)
    for number in range(count):
        command, kind = _command(rng, config), rng.random()
        first = next(opening, None) if number < count // 2 else None
        extreme = first is None and kind < _EXTREME_SHARE
        if first is not None:
            command = first
        elif extreme:
            vectors = min(config.weight_depth, config.activation_depth)
            requantize = command.requantize and kind < _EXTREME_SHARE / 2
            command = replace(command, rows=1, vectors=vectors, requantize=requantize, relu=False, **_VECTORS)
            command = replace(command, load_params=config.ppu)
        elif kind < _EXTREME_SHARE + _LIMIT_SHARE:
            command = _at_a_limit(config, element, command, *(rng.random(3) < (0.5, 0.5, 0.2)).tolist())
        elif kind < _EXTREME_SHARE + _LIMIT_SHARE + _ILLEGAL_SHARE:
            command = replace(command, **_fault(rng, config))
        elif not element.loaded.is_legal(command):
            command = replace(command, load_params=config.ppu, **_VECTORS)
        part = _beats(rng, element.loaded, command)
        if extreme:
            _to_the_limits(rng, config, part)
        elif command.load_params and command.requantize and rng.random() < _BALANCED_SHARE:
            part = _balanced(rng, element, part)
        parts.append(part)
        results += element.run(part)
    return concatenate(parts), results


def steady(config: PeConfig, count: int, seed: int) -> tuple[Streams, list[CommandResult]]:
    """Return ``count`` equal commands, with their beats, and the model's results.

    They have as many rows and vectors as lanes, so that the lanes need never wait, or as many as the buffers hold; of
    vectors a multiple of the rows that share a read. All buffers are loaded anew each time. Outputs are requantized, if
    there is post-processing.
    """
    most = -(-config.lanes // config.reuse) * config.reuse
    vectors = min(most, config.weight_depth, config.activation_depth)
    rows = min(config.lanes, config.activation_depth // vectors)
    command = Command(rows=rows, vectors=vectors, load_params=config.ppu, requantize=config.ppu)
    return repeated(config, command, count, seed)


def repeated(config: PeConfig, command: Command, count: int, seed: int) -> tuple[Streams, list[CommandResult]]:
    """Return one legal command ``count`` times, with random beats, and the model's results."""
    rng = np.random.default_rng(seed)
    streams = concatenate(_beats(rng, Loaded(config), command) for _ in range(count))
    return streams, ElementModel(config).run(streams)


def lone(config: PeConfig, seed: int) -> tuple[Streams, list[CommandResult], list[int]]:
    """Return commands that show the element's pace, the model's results, and how many follow each other at once.

    The first one loads all. The next ones load nothing: three of one row, then one of many rows and one vector, and,
    with post-processing, the same requantized. The last ones, of one row, load one buffer each.
    """
    rng = np.random.default_rng(seed)
    vectors = min(config.weight_depth, config.activation_depth, _MOST_VECTORS)
    rows = min(config.activation_depth, _longest(config)[0]) // vectors
    load = Command(rows=rows, vectors=vectors, load_params=config.ppu)
    again = replace(load, load_weights=False, load_activations=False, load_params=False)
    narrow = replace(again, rows=rows * vectors, vectors=1)
    groups = [[load], 3 * [replace(again, rows=1)], [narrow]]
    if config.ppu:
        groups += [[replace(narrow, requantize=True)], [replace(again, rows=1, load_params=True)]]
    groups += [[replace(again, rows=1, load_weights=True)], [replace(again, rows=1, load_activations=True)]]
    loaded = Loaded(config).after(load)
    following = [_beats(rng, loaded, command) for group in groups[1:] for command in group]
    streams = concatenate([_beats(rng, Loaded(config), load), *following])
    return streams, ElementModel(config).run(streams), [len(group) for group in groups]


def backlogs(config: PeConfig, rounds: int, seed: int) -> Streams:
    """Return a command that loads all, and ``rounds`` pairs of commands that load nothing, so that results come soon.

    All have vectors of one read each, so that the lanes never wait for the next row, and are requantized if there is
    post-processing. Those of the pairs have one row to as many as are loaded, enough to fill post-processing and lanes.
    """
    rng = np.random.default_rng(seed)
    rows = min(config.activation_depth, 1 + config.reuse + _POST_PROCESSED // config.lanes)
    load = Command(rows=rows, vectors=1, load_params=config.ppu, requantize=config.ppu)
    again = replace(load, load_weights=False, load_activations=False, load_params=False)
    pairs = (replace(again, rows=count) for count in rng.integers(1, rows, 2 * rounds, endpoint=True).tolist())
    return concatenate(_beats(rng, Loaded(config), command) for command in (load, *pairs))


def result_beats(results: Iterable[CommandResult]) -> Iterator[dict[str, Any]]:
    """Yield the result stream's beats: the fields that matter, integers by name (``codes`` a list).

    A beat without ``acc`` is a vector, or illegal.
    """
    for result in results:
        beats: list[dict[str, Any]] = [{"raw": 0}]
        if result.acc is not None:
            columns = {"acc": result.acc, "overflow": result.overflow, "inexact": result.inexact}
            given = {name: column.ravel().tolist() for name, column in columns.items() if column is not None}
            rows = zip(*given.values(), strict=True)
            beats = [{"raw": 1, **dict(zip(given, map(int, row), strict=True))} for row in rows]
        elif result.codes is not None:
            beats = [{"raw": 0, "codes": codes} for codes in result.codes.reshape(-1, result.codes.shape[-1]).tolist()]
            if result.scales is not None:
                for beat, scale in zip(beats, result.scales.ravel().tolist(), strict=True):
                    beat["scale"] = scale
        for number, beat in enumerate(beats, 1):
            yield {**beat, "illegal": int(result.illegal), "last": int(number == len(beats))}


def _longest(config: PeConfig) -> tuple[int, int]:
    """Return rows * vectors, and vectors, of all but a few random commands: enough that all slots are used again."""
    vectors = max(_MOST_VECTORS, config.reuse)
    return max(_LONGEST_COMMAND, (config.reuse + 2) * vectors), vectors


def _command(rng: np.random.Generator, config: PeConfig) -> Command:
    full = rng.random() < _FULL_SHARE
    longest, most_vectors = _longest(config)
    vectors = int(rng.integers(1, min(config.weight_depth, config.activation_depth, most_vectors), endpoint=True))
    if full:
        vectors = min(config.weight_depth, config.activation_depth)
    most = config.activation_depth if full and rng.random() < 0.5 else min(config.activation_depth, longest)
    most_rows = max(1, most // vectors)
    loads = (rng.random(3) < 0.6).tolist()
    requantize = config.ppu and bool(rng.random() < 0.7)
    return Command(
        rows=most_rows if full else int(rng.integers(1, most_rows, endpoint=True)),
        vectors=vectors,
        load_weights=loads[0],
        load_activations=loads[1],
        load_params=config.ppu and loads[2],
        requantize=requantize,
        relu=requantize and bool(rng.random() < 0.3),
    )


def _opening(rng: np.random.Generator, config: PeConfig, element: ElementModel) -> Iterator[Command]:
    """Yield commands that load all that they use but one buffer, one that loads all, and some that keep what it loaded.

    Those are as large as it permits or one larger; each is drawn from the element's state after the ones before.
    """
    smallest = Command(rows=1, vectors=1, load_params=config.ppu, requantize=config.ppu)
    for name in ("weights", "activations", *(["params"] if config.ppu else [])):
        yield replace(smallest, **{f"load_{name}": False})
    yield (everything := replace(_command(rng, config), load_params=config.ppu, **_VECTORS))
    for weights, larger in product((True, False), repeat=2):
        yield _at_a_limit(config, element, everything, weights, larger, loads=False)


def _at_a_limit(
    config: PeConfig, element: ElementModel, command: Command, weights: bool, larger: bool, loads: bool
) -> Command:
    """Return a command as large as the weights or activations permit, or one larger, as far as its ports express it.

    It loads all but perhaps the buffer that sets the limit, so that no other rule is broken.
    """
    vectors_loaded = {"load_weights": loads or not weights, "load_activations": loads or weights}
    command = replace(command, load_params=config.ppu, **vectors_loaded)
    vectors, entries = (limit + larger for limit in element.loaded.limits(command))
    if weights:
        most = min(config.activation_depth, (1 << config.vectors_bits) - 1)
        return replace(command, rows=1, vectors=min(vectors, most))
    return replace(command, rows=min(entries, (1 << config.rows_bits) - 1), vectors=1)


def _fault(rng: np.random.Generator, config: PeConfig) -> dict[str, Any]:
    """Return a change that makes most commands illegal."""
    rows, vectors = (int(rng.integers(1 << bits)) for bits in (config.rows_bits, config.vectors_bits))
    fitting = int(rng.integers(1, min(config.weight_depth, config.activation_depth), endpoint=True))
    # What fits and one bit more, so that the command would be legal without that bit.
    bit = int(rng.integers(config.rows_bits - 1, config.rows_bits + config.vectors_bits))
    beyond = (1 << bit) + int(rng.integers(1, config.activation_depth, endpoint=True))
    larger = {"vectors": fitting, "rows": min(beyond // fitting, (1 << config.rows_bits) - 1), **_VECTORS}
    faults = ({"rows": 0}, {"vectors": 0}, {"rows": rows, "vectors": vectors}, larger, larger)
    return faults[rng.integers(len(faults))]


def _beats(rng: np.random.Generator, loaded: Loaded, command: Command) -> Streams:
    """Return what the command takes from the streams."""
    _, weights, activations, *lanes = loaded.beats(command).values()
    mac = loaded.config.mac
    w, a = (stream.beats(mac, max(1, count), int(rng.integers(1 << 32))) for count in (weights, activations))
    if "scale_base" in loaded.config.command_numbers:
        most = loaded.config.scale_base_max
        ends = rng.random() < _ENDS_SHARE
        command = replace(command, scale_base=int(rng.choice([0, most]) if ends else rng.integers(most, endpoint=True)))
    if mac.window:
        command = replace(command, offset=_offset(rng, mac))
        for scales, fmt in zip((w.weight_scales, a.activation_scales), mac.scales, strict=True):
            if scales is not None and isinstance(fmt, E8M0) and rng.random() < _STEADY_SHARE:
                span = rng.choice([0, 2, mac.window // 4])
                scales[:] = fmt.max // 2 + rng.integers(-span, span, len(scales), endpoint=True)
    return Streams(
        commands=[command],
        weights=BlockOperand(w.weights, w.weight_scales).map(lambda column: column[:weights]),
        activations=BlockOperand(a.activations, a.activation_scales).map(lambda column: column[:activations]),
        params=params.spread(rng, loaded.config, *lanes) if lanes else None,
    )


def _offset(rng: np.random.Generator, mac: MacConfig) -> int:
    """Return a window's offset: any, or one that places terms of scales in the middle anywhere in it or next to it."""
    most = (1 << mac.offset_bits) - 1
    if rng.random() < _STEADY_SHARE:
        below = largest(mac.unshifted_range).bit_length()
        return int(np.clip(mac.exponent_max // 2 - rng.integers(-below, mac.acc_bits), 0, most))
    return int(rng.integers(most, endpoint=True))


def _to_the_limits(rng: np.random.Generator, config: PeConfig, streams: Streams) -> None:
    """Put extreme codes, the same for all elements of a side, in the place of what is there, and the largest scales.

    Exponents stay, for a window would hold nothing.
    """
    mac = config.mac
    for (codes, scales), element, scale in (
        (streams.weights, mac.weight, mac.weight_scale),
        (streams.activations, mac.activation, mac.activation_scale),
    ):
        codes[:] = rng.choice([element.min, element.max]) if element.signed else element.max
        if scale is not None and not isinstance(scale, E8M0):
            scales[:] = scale.max


def _balanced(rng: np.random.Generator, element: ElementModel, streams: Streams) -> Streams:
    """Return the beats of a command with parameters that balance the sums of its first row, most of them small.

    Scales lose a random number of bits, and those with exponents as many binades or more, but powers of two stay.
    """
    mac = element.loaded.config.mac
    for (_, scales), fmt in zip((streams.weights, streams.activations), mac.scales, strict=True):
        if fmt is not None and scales is not None and not isinstance(fmt, E8M0):
            scales >>= int(rng.integers(int(fmt.max).bit_length()))
    [command] = streams.commands
    [sums] = copy(element).run(replace(streams, commands=[replace(command, requantize=False, relu=False)]))
    return (
        streams
        if sums.acc is None
        else replace(streams, params=params.balanced(rng, element.loaded.config, sums.acc[0]))
    )
