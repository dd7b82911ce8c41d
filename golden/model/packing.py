"""Codes as the words of a hardware port: lane 0 in the least significant bits, each lane ``bits`` wide."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.formats.base import Format

_LANE_BITS = 16  # a lane's container while bits are moved; no format is wider


def bits(codes: NDArray[Any], fmt: Format) -> NDArray[np.uint8]:
    """Return the bits of each row's word, [B, V * bits], the least significant first; ``codes`` as for :func:`pack`."""
    rows, lanes = codes.shape
    lane_bytes = fmt.patterns(codes).astype("<u2", order="C").view(np.uint8).reshape(rows, lanes, 2)
    return np.unpackbits(lane_bytes, axis=2, bitorder="little")[:, :, : fmt.bits].reshape(rows, lanes * fmt.bits)


def join(fields: Iterable[tuple[NDArray[Any], Format]], step: int = 1) -> NDArray[np.uint8]:
    """Return words in bytes from the least significant one, [B, bytes]: fields one after another.

    Each field is given as codes, as for :func:`pack`, and padded with zeros to a multiple of ``step`` bits.
    """
    columns = [bits(codes, fmt) for codes, fmt in fields]
    padded = [np.pad(column, ((0, 0), (0, -column.shape[1] % step))) for column in columns]
    return np.packbits(np.concatenate(padded, axis=1), axis=1, bitorder="little")


def pack(codes: NDArray[Any], fmt: Format) -> list[int]:
    """Return one word for each row: ``sum_j pattern(codes[b, j]) << (j * bits)``, as stimulus.

    Parameters
    ----------
    codes
        Legal codes of ``fmt``, [B, V].
    fmt
        Format of every lane.
    """
    words = np.packbits(bits(codes, fmt), axis=1, bitorder="little")
    return [int.from_bytes(word.tobytes(), "little") for word in words]


def unpack(words: Sequence[int], fmt: Format, lanes: int) -> NDArray[np.int64]:
    """Return the codes [B, V] of ``words``; inverse of :func:`pack`."""
    rows, size = len(words), -(-lanes * fmt.bits // 8)
    raw = np.frombuffer(b"".join(word.to_bytes(size, "little") for word in words), np.uint8).reshape(rows, size)
    padded = np.zeros((rows, lanes, _LANE_BITS), np.uint8)
    flat = np.unpackbits(raw, axis=1, count=lanes * fmt.bits, bitorder="little")
    padded[:, :, : fmt.bits] = flat.reshape(rows, lanes, fmt.bits)
    patterns = np.packbits(padded, axis=2, bitorder="little").view("<u2").reshape(rows, lanes)
    return fmt.decode(patterns)
