"""Words of hardware ports: fields one after another from the least significant bit, element 0 of a field first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.formats.elements import Format

Words = tuple[int, ...]  # the fields of one row, each as its port carries it
Columns = Mapping[str, NDArray[Any]]  # the values of each field, [B] or, of vectors, [B, V]

_MACHINE_BITS = 62  # beyond them, Python's integers


@dataclass(frozen=True)
class Integer:
    """The integers of any number of bits: two's complement if ``signed``, else plain binary."""

    bits: int
    signed: bool = False

    @property
    def values(self) -> range:
        """All values in ascending order."""
        half = 1 << (self.bits - 1)
        return range(-half, half) if self.signed else range(2 * half)

    def patterns(self, values: Any) -> NDArray[Any]:
        """Return the values' bit patterns as unsigned integers of the same shape."""
        return np.asarray(self._exact(values) & ((1 << self.bits) - 1))

    encode = patterns

    def decode(self, patterns: Any) -> NDArray[Any]:
        """Return the values that bit patterns stand for; inverse of :meth:`patterns`."""
        raw = self._exact(patterns)
        return raw - (raw >> (self.bits - 1) << self.bits) if self.signed else raw

    def _exact(self, numbers: Any) -> NDArray[Any]:
        return np.asarray(numbers).astype(np.int64 if self.bits <= _MACHINE_BITS else object)


@dataclass(frozen=True)
class Field:
    """One number of a format, or with a ``count`` a vector of so many.

    A design gives ``unique`` patterns: of two zeros the positive one. It takes either.
    """

    format: Format | Integer
    count: int | None = None
    unique: bool = False

    @property
    def bits(self) -> int:
        """Width in all."""
        return self.format.bits * (self.count or 1)

    def words(self, column: NDArray[Any]) -> list[int]:
        """Return each row's values as one number: ``sum_j pattern(column[b, j]) << (j * bits)``."""
        if self.count is None:
            return list(self._patterns(column).tolist())
        raw = np.packbits(self.unpacked(column), axis=1, bitorder="little")
        return [int.from_bytes(row.tobytes(), "little") for row in raw]

    def column(self, words: Sequence[int]) -> NDArray[Any]:
        """Return the values of each row; inverse of :meth:`words`."""
        patterns = np.array(words, object)
        if self.count is not None:
            places = np.arange(self.count, dtype=object) * self.format.bits
            patterns = patterns[:, None] >> places & ((1 << self.format.bits) - 1)
        return self.format.decode(patterns)

    def unpacked(self, column: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the bits of each row's word, [B, bits], the least significant first; of up to 62 bits a number."""
        bits = self.format.bits
        size = 2 if bits <= 16 else 8
        patterns = self._patterns(column).astype(f"<u{size}", order="C")
        raw = patterns.view(np.uint8).reshape(len(column), self.count or 1, size)
        return np.unpackbits(raw, axis=2, bitorder="little")[:, :, :bits].reshape(len(column), self.bits)

    def _patterns(self, column: NDArray[Any]) -> NDArray[Any]:
        return self.format.encode(column) if self.unique else self.format.patterns(column)


@dataclass(frozen=True)
class Packed:
    """The layout of a word: its fields by name, from the least significant bit."""

    fields: Mapping[str, Field]

    @cached_property
    def widths(self) -> dict[str, int]:
        """Bits of each field."""
        return {name: field.bits for name, field in self.fields.items()}

    @cached_property
    def low(self) -> dict[str, int]:
        """Place of each field's least significant bit."""
        return dict(zip(self.widths, accumulate(self.widths.values(), initial=0), strict=False))

    @property
    def bits(self) -> int:
        """Width of the word."""
        return sum(self.widths.values())

    def words(self, columns: Columns) -> list[Words]:
        """Return each row's fields as the ports carry them."""
        return list(zip(*(field.words(columns[name]) for name, field in self.fields.items()), strict=True))

    def columns(self, words: Sequence[Words]) -> dict[str, NDArray[Any]]:
        """Return the values of each field; inverse of :meth:`words`."""
        rows = zip(*words, strict=True) if words else [()] * len(self.fields)
        return {name: field.column(row) for (name, field), row in zip(self.fields.items(), rows, strict=True)}

    def bytes(self, columns: Columns, step: int = 1) -> NDArray[np.uint8]:
        """Return each row's word in bytes, [B, bytes], each field padded with zeros to a multiple of ``step`` bits."""
        fields = [field.unpacked(columns[name]) for name, field in self.fields.items()]
        padded = [np.pad(field, ((0, 0), (0, -field.shape[1] % step))) for field in fields]
        return np.packbits(np.concatenate(padded, axis=1), axis=1, bitorder="little")

    def join(self, words: Sequence[int]) -> int:
        """Return one row's fields as one word."""
        return sum(word << low for word, low in zip(words, self.low.values(), strict=True))

    def split(self, word: int) -> Words:
        """Return the fields of one word; inverse of :meth:`join`."""
        return tuple(word >> low & ((1 << self.widths[name]) - 1) for name, low in self.low.items())


def slices(widths: Mapping[str, int], word: str, low: int = 0) -> list[str]:
    """Return Verilog's connections of ports to slices of a word, from bit ``low`` on."""
    places = zip(widths.items(), accumulate(widths.values(), initial=low), strict=False)
    return [f".{port}({word}[{at + width - 1}:{at}])" for (port, width), at in places]
