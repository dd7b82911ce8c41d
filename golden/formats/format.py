"""The one interface of formats: integers in some unit, and the bit patterns that encode them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.errors import InputError


class Format(ABC):
    """The format of an element or a scale: a set of integers, which count units of 2^-fraction_bits.

    Everything computes with these integers, called values or codes; bit patterns are known to :meth:`encode`,
    :meth:`patterns`, :meth:`decode`, and the decoder in ``hw`` alone. 0 and 1 are values; of a signed format, so
    is the opposite of each value but perhaps the least.
    """

    bits: int  # of a pattern, 1 to 16
    fraction_bits: int = 0  # a quantizer's gamma takes up the unit
    values: Sequence[int]  # all, in ascending order
    min: int
    max: int
    signed: bool  # whether there are negative values
    unused: tuple[int, ...] = ()  # patterns that are no value
    nans: tuple[int, ...] = ()  # codes of infinity and NaN, if they are allowed to occur
    significand_bits: int  # of :meth:`split`; 0 if significands are 1
    origin: int = 0  # the exponent of :meth:`split` that stands for 2^0, in units

    @abstractmethod
    def __str__(self) -> str:
        """Return the spelling in a configuration."""

    @property
    def qmax(self) -> int:
        """The largest magnitude that a quantizer produces; signed codes stay in the narrow range +-qmax."""
        return self.max

    @property
    def qmin(self) -> int:
        """The least value that a quantizer produces: -qmax (narrow range) or 0."""
        return -self.max if self.signed else 0

    @property
    def contiguous(self) -> bool:
        """Whether every integer from ``min`` to ``max`` is a value."""
        return len(self.values) == self.max - self.min + 1

    @property
    def last_step(self) -> int:
        """The distance of the two largest values, which is the largest one of all neighbours."""
        return self.values[-1] - self.values[-2]

    @property
    def corners(self) -> list[int]:
        """Values at which hardware is likely to fail, ascending."""
        return sorted({self.min, self.max, *(value for value in (-1, 0, 1) if value in self.values)})

    def split(self, values: Any) -> tuple[Any, Any]:
        """Return significands and exponents: what values, which are not negative, stand for.

        It is ``significand * 2^(exponent - origin)``; but for E8M0, whose codes are exponents, that is the value.

        Significands have ``significand_bits`` bits at most. Values are integers, or arrays or tensors of integers.
        """
        return values, 0

    def with_narrow(self, narrow: bool) -> "Format":
        """Return the format with or without the promise that no value lacks its opposite; itself if none ever does."""
        return self

    def reals(self, codes: Any, xp: Any = np) -> Any:
        """Return what codes of a scale stand for, in units, as float32; ``xp`` is NumPy or PyTorch."""
        return xp.asarray(codes, dtype=xp.float32)

    def codes(self, reals: Any, xp: Any = np) -> Any:
        """Return the codes of values that :meth:`nearest` gave; inverse of :meth:`reals`."""
        return xp.asarray(reals, dtype=self.dtype(xp))

    def dtype(self, xp: Any = np) -> Any:
        """Return the type of arrays of codes: int32, or int64 of those that it does not hold."""
        return xp.int32 if self.max < 1 << 31 else xp.int64

    def at_most(self, bits: int) -> "Format":
        """Return the format of this kind in no more than so many bits, or nearly so; itself if there is none."""
        return self

    def unsigned(self) -> "Format":
        """Return the format of as many bits without negative values, or raise an InputError if there is none."""
        raise InputError(f"{self}: this format has no unsigned variant; choose an integer format")

    @abstractmethod
    def nearest(self, x: Any, xp: Any = np, out: Any = None) -> Any:
        """Return the values in ``qmin .. qmax`` nearest to real ``x`` (in units), as reals; ``xp`` is NumPy or PyTorch.

        Ties go to the even one of two neighbours: to the even integer, or the even significand. The result is in
        ``out``, which may be ``x``, unless that is None.
        """

    def check(self, codes: NDArray[Any], name: str, *, finite: bool = True) -> None:
        """Refuse what is not a value, nor NaN unless ``finite``, naming the first; ``name`` says which array it is."""
        codes = np.asarray(codes)
        if codes.dtype.kind not in "iuO":
            raise InputError(f"{name}: dtype {codes.dtype} is not an integer type; convert the codes to integers first")
        bad = (codes < self.min) | (codes > self.max)
        if not self.contiguous:
            bad |= np.isin(codes, self.values, invert=True)
        if not finite:
            bad &= ~np.isin(codes, self.nans)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            rule = f"{self._rule()}{', or give finite=0: it is infinity or NaN' * (codes[where] in self.nans)}"
            raise InputError(f"{name}{list(where)} = {codes[where]}: {rule}")

    @abstractmethod
    def _rule(self) -> str:
        """Return what the values are, and how to come to them."""

    @abstractmethod
    def encode(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return the codes' bit patterns as unsigned integers of the same shape."""

    def patterns(self, codes: NDArray[Any]) -> NDArray[np.uint64]:
        """Return bit patterns as stimulus: where several stand for one value, they take turns."""
        return self.encode(codes)

    @abstractmethod
    def decode(self, patterns: NDArray[Any]) -> NDArray[np.int64]:
        """Return the codes that the bit patterns stand for; inverse of :meth:`encode` and :meth:`patterns`."""

    def sample(self, rng: np.random.Generator, shape: int | tuple[int, ...]) -> NDArray[np.int64]:
        """Return random values, all with the same odds."""
        places = rng.integers(len(self.values), size=shape)
        return self.min + places if self.contiguous else np.asarray(self.values, np.int64)[places]
