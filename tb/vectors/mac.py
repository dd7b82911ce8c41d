"""Test vectors of vector MACs, and a plain-Verilog bench that plays them."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import IntFormat, MacConfig, Overflow
from vsq.golden.formats.base import Format
from vsq.golden.io.files import replacing
from vsq.golden.model.datapath import MacResult, mac
from vsq.golden.model.packing import join
from vsq.golden.stimulus.stream import Beats, complete
from vsq.tb.playback.build import slices
from vsq.tb.vectors.plain_bench import Stream, write_bench

_BYTE = 8
_IDLE_CYCLES = 100


def write_vectors(
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

    Parameters
    ----------
    config, name
        The vector MAC and its module.
    folder, count, seed
        Of the files, of the vectors, and what these are drawn with.
    interface
        ``native``, or ``axis`` for AXI4-Stream ports.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    axis = interface == "axis"
    stream, stall = _stream(config, count, seed, axis=axis)
    result = mac(config, **vars(stream))
    beat_stream, result_stream = (_axis_streams if axis else _native_streams)(config, stream, result)
    title = f"block-scaled vector MAC {config.full_name}{' with AXI4-Stream ports' if axis else ''}"
    cycles = len(stream) + config.pipeline
    fill = min(len(stream), int(np.flatnonzero(stream.last)[stall]) + 1 + config.pipeline)
    settings = {"stall": stall, "fill": fill, "idle": _IDLE_CYCLES, "cycles": cycles}
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
    sent = Stream(
        name="stimulus", prefix="in_", widths=_beat_widths(config), words=_words(packed_beats(config, stream))
    )
    got = Stream(
        name="expected", prefix="out_", widths=_result_widths(config), words=_result_words(config, result, step=1)
    )
    return sent, got


def _axis_streams(config: MacConfig, stream: Beats, result: MacResult) -> tuple[Stream, Stream]:
    """Return the streams of AXI4-Stream ports: fields in whole bytes, and TLAST."""
    fields = [(codes, fmt) for name, codes, fmt in _columns(config, stream) if name not in ("first", "last")]
    data = join(fields, _BYTE)
    sent = Stream(
        name="stimulus",
        prefix="s_axis_t",
        widths={"data": _BYTE * data.shape[1], "last": 1},
        words=_words(np.concatenate([data, stream.last[:, None].astype(np.uint8)], axis=1)),
    )
    bits = sum(-(-width // _BYTE) * _BYTE for width in _result_widths(config).values())
    words = [word | 1 << bits for word in _result_words(config, result, step=_BYTE)]
    return sent, Stream(name="expected", prefix="m_axis_t", widths={"data": bits, "last": 1}, words=words)


def _words(raw: NDArray[np.uint8]) -> list[int]:
    """Return rows of bytes as integers."""
    return [int.from_bytes(row.tobytes(), "little") for row in raw]


def _input_fields(config: MacConfig) -> dict[str, tuple[Format, int]]:
    """Return an input word's fields from its least significant end: format and number of codes."""
    mark = IntFormat(bits=1, signed=False)
    fields = {
        "weights": (config.weight, config.vector_size),
        "activations": (config.activation, config.vector_size),
        "weight_scales": (config.weight_scale, 1),
        "activation_scales": (config.activation_scale, 1),
        "first": (mark, 1),
        "last": (mark, 1),
    }
    return {name: (form, count) for name, (form, count) in fields.items() if form}


def _columns(config: MacConfig, stream: Beats) -> list[tuple[str, NDArray[Any], Format]]:
    """Return an input word's fields from its least significant end: name, codes [B, n] and their format."""
    return [
        (name, getattr(stream, name).reshape(len(stream), count), form)
        for name, (form, count) in _input_fields(config).items()
    ]


def packed_beats(config: MacConfig, stream: Beats) -> NDArray[np.uint8]:
    """Return every beat's word in bytes from the least significant one, [B, bytes]."""
    return join((codes, form) for _, codes, form in _columns(config, stream))


def connections(config: MacConfig, beat: str, result: str) -> tuple[list[str], int, int]:
    """Return a MAC's payload ports connected to slices of two words, and the words' bits."""
    inputs = {f"in_{name}": width for name, width in _beat_widths(config).items()}
    outputs = {f"out_{name}": width for name, width in _result_widths(config).items()}
    (sent, beat_bits), (got, result_bits) = slices(inputs, beat), slices(outputs, result)
    return [*sent, *got], beat_bits, result_bits


def _beat_widths(config: MacConfig) -> dict[str, int]:
    """Return the bits of an input word's ports, by name after ``in_``."""
    return {
        name.removesuffix("s") if name.endswith("_scales") else name: form.bits * count
        for name, (form, count) in _input_fields(config).items()
    }


def _result_widths(config: MacConfig) -> dict[str, int]:
    """Return the bits of an output word's ports, by name after ``out_``."""
    return {"acc": config.acc_bits, **({"overflow": 1} if config.overflow == Overflow.SATURATE else {})}


def _result_words(config: MacConfig, result: MacResult, *, step: int) -> list[int]:
    """Return every result as one word: acc, extended to a multiple of ``step`` bits, and above it the flag, if any."""
    acc_bits = -(-config.acc_bits // step) * step
    flagged = config.overflow == Overflow.SATURATE
    return [
        acc & ((1 << acc_bits) - 1) | (overflow << acc_bits if flagged else 0)
        for acc, overflow in zip(result.acc.tolist(), result.overflow.tolist(), strict=True)
    ]
