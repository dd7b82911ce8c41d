"""Test vectors of vector MACs, and a plain-Verilog bench that plays them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.config import IntFormat, MacConfig, Overflow
from golden.datapath import MacResult, mac
from golden.files import replacing, write_text
from golden.packing import bits
from golden.stimulus import Beats, beats
from hw.verilog import default_name
from tb.plain_bench import Stream, bench_files
from tb.playback import slices

_IDLE_CYCLES = 100


def write_vectors(config: MacConfig, folder: Path, count: int, seed: int, name: str | None = None) -> list[Path]:
    """Write stimulus, expected results and a self-checking bench of ``count`` vectors into ``folder``.

    ``<name>_stimulus.memh`` and ``<name>_expected.memh`` hold one hexadecimal word a line: an input word is, from its
    least significant bit, weights, activations, weight scale, activation scale, first, last; an output word is acc and,
    if the accumulator saturates, overflow. ``<name>_vectors.npz`` holds the same as arrays. ``<name>_tb.v`` plays the
    words (:mod:`tb.plain_bench`), and prints ``PASS`` or ``FAIL``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    name = name or default_name(config)
    stream, stall = _stream(config, count, seed)
    result = mac(config, **vars(stream))
    words = [int.from_bytes(word.tobytes(), "little") for word in packed_beats(config, stream)]
    files = bench_files(
        name,
        f"block-scaled vector MAC {config.full_name}",
        [Stream(name="stimulus", prefix="in_", widths=_beat_widths(config), words=words)],
        Stream(name="expected", prefix="out_", widths=_result_widths(config), words=_output_words(config, result)),
        stall=stall,
        idle=_IDLE_CYCLES,
        cycles=count + config.pipeline,
    )
    for file_name, text in files.items():
        write_text(folder / file_name, text)
    arrays = {key: column for key, column in vars(stream).items() if column is not None}
    acc = result.acc.astype(str) if result.acc.dtype == object else result.acc  # beyond 63 bits: decimal text
    with replacing(folder / f"{name}_vectors.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays, expected_acc=acc, expected_overflow=result.overflow)
    return [folder / file_name for file_name in (*files, f"{name}_vectors.npz")]


def _stream(config: MacConfig, count: int, seed: int) -> tuple[Beats, int]:
    """Return random beats that show whether a reset clears everything, and the result to stall for that.

    After a reset, the first beat must start from 0 without ``first``. The result to stall leaves something in the
    accumulator, and the overflow flag set where it can be; all beats behind it, one for each stage, ask for a result.
    """
    stream = beats(config, count, seed)
    stream.first[0], stream.last[0] = False, True
    result = mac(config, **vars(stream))
    filled = np.flatnonzero(result.acc[1:] != 0) + 1
    candidates = [*filled[result.overflow[filled]], *filled, 0]
    stall = int(candidates[0])
    end = np.flatnonzero(stream.last)[stall]
    stream.last[end : end + config.pipeline + 2] = True
    return stream, stall


def _input_fields(config: MacConfig) -> dict[str, tuple[IntFormat, int]]:
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


def packed_beats(config: MacConfig, stream: Beats) -> NDArray[np.uint8]:
    """Return every beat's word in bytes from the least significant one, [B, bytes]."""
    columns = [
        bits(getattr(stream, name).reshape(len(stream), count), form)
        for name, (form, count) in _input_fields(config).items()
    ]
    return np.packbits(np.concatenate(columns, axis=1), axis=1, bitorder="little")


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


def _output_words(config: MacConfig, result: MacResult) -> list[int]:
    """Pack every result into one integer: acc, and above it the overflow flag if there is one."""
    mask = (1 << config.acc_bits) - 1
    flag = config.acc_bits if config.overflow == Overflow.SATURATE else None
    return [
        acc & mask | (0 if flag is None else overflow << flag)
        for acc, overflow in zip(result.acc.tolist(), result.overflow.tolist(), strict=True)
    ]
