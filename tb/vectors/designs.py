"""Test vectors of vector MACs and of processing elements, and the plain-Verilog benches that play them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.io.files import replacing
from vsq.golden.model.datapath import MacResult, mac
from vsq.golden.model.packing import Field, Integer, Packed
from vsq.golden.model.pe import Command, CommandResult, ElementModel, Streams
from vsq.golden.stimulus.commands import commands, result_beats
from vsq.golden.stimulus.stream import Beats, complete
from vsq.tb.interface.mac import MARK, MacInterface
from vsq.tb.interface.pe import PeInterface
from vsq.tb.vectors.plain_bench import Stream, write_bench

_BYTE = 8


def write_mac_vectors(
    config: MacConfig, folder: Path, count: int, seed: int, name: str, *, interface: str = "native"
) -> list[Path]:
    """Write stimulus, expected results and a self-checking bench of ``count`` vectors into ``folder``.

    There are more vectors if it takes more to leave the accumulator's range
    (:func:`vsq.golden.stimulus.stream.complete`).

    ``<name>_stimulus.memh`` and ``<name>_expected.memh`` hold one hexadecimal word a line: an input word is, from its
    least significant bit, weights, activations, weight scale, activation scale, first, last; an output word is acc and,
    if the accumulator saturates, overflow. With AXI4-Stream ports, a word is TDATA and above it TLAST.
    ``<name>_vectors.npz`` holds the same as arrays. ``<name>_tb.v`` plays the words
    (:mod:`vsq.tb.vectors.plain_bench`), and prints ``PASS`` or ``FAIL``.

    Args:
        config, name: The vector MAC and its module.
        folder, count, seed: Of the files, of the vectors, and what these are drawn with.
        interface: ``native``, or ``axis`` for AXI4-Stream ports.

    Returns:
        list of Path: The files.

    Raises:
        InputError: If the folder cannot be written.
    """
    axis = interface == "axis"
    stream, stall = _stream(config, count, seed, axis=axis)
    result = mac(config, **vars(stream))
    beat_stream, result_stream = (_axis_streams if axis else _native_streams)(config, stream, result)
    title = f"block-scaled vector MAC {config.full_name}{' with AXI4-Stream ports' if axis else ''}"
    cycles = len(stream) + config.pipeline
    fill = min(len(stream), int(np.flatnonzero(stream.last)[stall]) + 1 + config.pipeline)
    settings = {"stall": stall, "fill": fill, "idle": MacInterface.idle, "cycles": cycles}
    files = write_bench(folder, name, title, [beat_stream], result_stream, **settings)
    arrays = {key: column for key, column in vars(stream).items() if column is not None}
    acc = result.acc.astype(str) if result.acc.dtype == object else result.acc  # beyond 63 bits: decimal text
    with replacing(folder / f"{name}_vectors.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays, expected_acc=acc, expected_overflow=result.overflow)
    return [*files, folder / f"{name}_vectors.npz"]


def _stream(config: MacConfig, count: int, seed: int, *, axis: bool) -> tuple[Beats, int]:
    """Return random beats that show whether a reset clears everything, and the result to stall for that.

    After a reset, the first beat must start from 0 without ``first``. The result to stall leaves something in the
    accumulator, and the overflow flag set where it can be; all beats behind it, one for each stage, ask for a result.
    On AXI4-Stream every accumulation gives one result, its last, and the beat after it is ``first``.
    """
    stream = complete(config, count, seed)
    if axis:
        stream.last[:-1], stream.first[0] = stream.first[1:], True
    else:
        stream.first[0], stream.last[0] = False, True
    result = mac(config, **vars(stream))
    ends = np.flatnonzero(stream.last)
    filled = np.flatnonzero((result.acc[1:] != 0) & (ends[1:] + config.pipeline < len(stream))) + 1
    candidates = [*filled[result.overflow[filled]], *filled, 0]
    stall = int(candidates[0])
    end = ends[stall]
    stream.last[end : end + config.pipeline + 2] = True
    if axis:
        stream.first[1:] = stream.last[:-1]
    return stream, stall


def _native_streams(config: MacConfig, stream: Beats, result: MacResult) -> tuple[Stream, Stream]:
    """Return the streams of plain ports."""
    interface = MacInterface(config)
    layout = interface.inputs["in"]
    sent = Stream.of("stimulus", "in", layout, layout.words(interface.streams(stream)["in"]))
    return sent, Stream.of("expected", "out", interface.output, interface.results(result))


def _axis_streams(config: MacConfig, stream: Beats, result: MacResult) -> tuple[Stream, Stream]:
    """Return the streams of AXI4-Stream ports: fields in whole bytes, and TLAST."""
    interface = MacInterface(config)
    fields = {name: field for name, field in interface.inputs["in"].fields.items() if name not in ("first", "last")}
    data = Packed(fields).bytes(interface.streams(stream)["in"], _BYTE)
    bits, marks = _BYTE * data.shape[1], stream.last.tolist()
    sent = Stream(
        name="stimulus",
        prefix="s_axis_t",
        widths={"data": bits, "last": 1},
        words=[int.from_bytes(row.tobytes(), "little") | last << bits for row, last in zip(data, marks, strict=True)],
    )
    results = {
        name: Field(Integer(-(-field.bits // _BYTE) * _BYTE, signed=name == "acc"))
        for name, field in interface.output.fields.items()
    }
    widths = {"data": Packed(results).bits, "last": 1}
    columns = {"acc": result.acc, "overflow": result.overflow, "last": np.ones_like(result.overflow)}
    layout = Packed({**results, "last": MARK})
    words = [layout.join(word) for word in layout.words(columns)]
    return sent, Stream(name="expected", prefix="m_axis_t", widths=widths, words=words)


def write_pe_vectors(config: PeConfig, folder: Path, count: int, seed: int, name: str) -> list[Path]:
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
    settings = {"stall": _stall(results), "fill": 0, "idle": interface.idle, "cycles": 0}
    return write_bench(folder, name, f"processing element {config.full_name}", inputs, result, **settings)


def _stall(results: Sequence[CommandResult]) -> int:
    """Return the number of the result beat to stall: the first of most that are requantized in a row, or the middle.

    Those behind it fill every stage.
    """
    beats = list(result_beats(results))
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
