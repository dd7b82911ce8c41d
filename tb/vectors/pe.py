"""Test vectors of processing elements, and a plain-Verilog bench that plays them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from amaranth.hdl import Shape

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Command, ProcessingElement, Result, Streams
from vsq.golden.stimulus.commands import commands, result_beats
from vsq.hw.pe.top import pe_signature
from vsq.tb.agents.pe_words import input_fields, input_words, result_fields, result_words
from vsq.tb.playback.build import joined
from vsq.tb.vectors.plain_bench import Stream, write_bench

_LATENCY = 200  # cycles beyond those of reading and handing out


def write_vectors(config: PeConfig, folder: Path, count: int, seed: int, name: str) -> list[Path]:
    """Write what the streams carry for ``count`` random commands, the results, and a self-checking bench.

    ``<name>_command.memh`` and so on hold one hexadecimal word a line for each beat of an input stream, its fields from
    the least significant bit in the order of the ports; ``<name>_expected.memh`` holds the result beats, and
    ``<name>_care.memh`` ones where their bits matter. Two or three commands more come first: they are illegal, because
    a reset has forgotten what they do not load. ``<name>_tb.v`` plays it all (:mod:`vsq.tb.vectors.plain_bench`).

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    streams = drawn_streams(config, count, seed)
    widths = {
        stream: {
            field: Shape.cast(shape).width for field, shape in about.signature.members["payload"].shape.members.items()
        }
        for stream, about in pe_signature(config).members.items()
    }
    inputs = []
    for stream, beats in input_words(config, streams).items():
        sizes, fields = widths[stream], input_fields(config)[stream]
        columns = [dict(zip(fields, beat, strict=True)) for beat in beats]
        words = [joined(sizes.values(), (beat[field] for field in sizes)) for beat in columns]
        inputs.append(Stream(name=stream, prefix=f"{stream}_", widths=sizes, words=words))
    sizes, fields = widths["result"], result_fields(config)
    results = ProcessingElement(config).run(streams)
    columns = [dict(zip(fields, beat, strict=True)) for beat in result_words(config, results)]
    result = Stream(
        name="expected",
        prefix="result_",
        widths=sizes,
        words=[joined(sizes.values(), (max(0, beat[field]) for field in sizes)) for beat in columns],
        care=[
            joined(sizes.values(), ((1 << sizes[field]) - 1 if beat[field] >= 0 else 0 for field in sizes))
            for beat in columns
        ],
    )
    idle = config.activation_depth + config.weight_depth + 4 * config.lane_count + _LATENCY
    title = f"processing element {config.full_name}"
    return write_bench(folder, name, title, inputs, result, stall=_stall(config, results), fill=0, idle=idle, cycles=0)


def _stall(config: PeConfig, results: Sequence[Result]) -> int:
    """Return the number of the result beat to stall: the first of most that are requantised in a row, or the middle.

    Those behind it fill every stage.
    """
    beats = list(result_beats(config, results))
    runs = groupby(range(len(beats)), lambda number: "codes" in beats[number])
    requantised = [list(run) for is_vector, run in runs if is_vector]
    return max(requantised, key=len)[0] if requantised else len(beats) // 2


def drawn_streams(config: PeConfig, count: int, seed: int) -> Streams:
    """Return random commands behind those that only an element without memory of an earlier run refuses."""
    refused = [Command(rows=1, vectors=1, load_weights=False), Command(rows=1, vectors=1, load_activations=False)]
    if config.ppu:
        refused.append(Command(rows=1, vectors=1, requantise=True))
    streams, _ = commands(config, count, seed)
    return replace(streams, commands=[*refused, *streams.commands])
