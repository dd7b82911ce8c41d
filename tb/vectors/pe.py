"""Test vectors of processing elements, and a plain-Verilog bench that plays them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Command, CommandResult, ElementModel, Streams
from vsq.golden.stimulus.commands import commands, result_beats
from vsq.tb.interface.pe import PeInterface
from vsq.tb.vectors.plain_bench import Stream, write_bench


def write_vectors(config: PeConfig, folder: Path, count: int, seed: int, name: str) -> list[Path]:
    """Write what the streams carry for ``count`` random commands, the results, and a self-checking bench.

    ``<name>_command.memh`` and so on hold one hexadecimal word a line for each beat of an input stream, its fields from
    the least significant bit in the order of the ports; ``<name>_expected.memh`` holds the result beats, and
    ``<name>_care.memh`` ones where their bits matter. Two or three commands more come first: they are illegal, because
    a reset has forgotten what they do not load. ``<name>_tb.v`` plays it all (:mod:`vsq.tb.vectors.plain_bench`).

    Raises:
        InputError: If the folder cannot be written.
    """
    streams, interface = drawn_streams(config, count, seed), PeInterface(config)
    columns = interface.streams(streams)
    inputs = [
        Stream.of(stream, stream, packed, packed.words(columns[stream])) for stream, packed in interface.inputs.items()
    ]
    results = ElementModel(config).run(streams)
    result = Stream.of("expected", interface.result, interface.output, interface.results(results))
    settings = {"stall": _stall(config, results), "fill": 0, "idle": interface.idle, "cycles": 0}
    return write_bench(folder, name, f"processing element {config.full_name}", inputs, result, **settings)


def _stall(config: PeConfig, results: Sequence[CommandResult]) -> int:
    """Return the number of the result beat to stall: the first of most that are requantized in a row, or the middle.

    Those behind it fill every stage.
    """
    beats = list(result_beats(config, results))
    runs = groupby(range(len(beats)), lambda number: "codes" in beats[number])
    requantized = [list(run) for is_vector, run in runs if is_vector]
    return max(requantized, key=len)[0] if requantized else len(beats) // 2


def drawn_streams(config: PeConfig, count: int, seed: int) -> Streams:
    """Return random commands behind those that only an element without memory of an earlier run refuses."""
    refused = [Command(rows=1, vectors=1, load_weights=False), Command(rows=1, vectors=1, load_activations=False)]
    if config.ppu:
        refused.append(Command(rows=1, vectors=1, requantize=True))
    streams, _ = commands(config, count, seed)
    return replace(streams, commands=[*refused, *streams.commands])
