"""Passes over all elements of a tensor, [..., K] in vectors, beside which the second level's work is small."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsq.golden.quantizer import second_level
from vsq.golden.quantizer.tensor import TensorFormat

BLOCK = 1 << 16  # elements worked on at a time: their few temporaries stay within a core's cache


@dataclass(frozen=True)
class Passes:
    """Passes in a namespace of arrays; what there is for each vector, [..., G], is given for each.

    Args:
        block: Elements worked on at a time, in whole rows; None for all, as compiled code and accelerators need.
    """

    xp: Any = np
    block: int | None = BLOCK

    def peaks(self, form: TensorFormat, values: Any) -> Any:
        """Return the largest magnitudes of vectors, [..., G]."""

        def largest(out: Any, vectors: Any) -> Any:
            return self.xp.amax(self.xp.abs(vectors, out=out), axis=-1)

        return self._joined([self._in_blocks(largest, part) for part, _ in _parts(form, values)])

    def codes(self, form: TensorFormat, values: Any, divisor: Any) -> Any:
        """Return the codes nearest to ``values / divisor``, [..., G, V], the tail padded with zeros."""

        def codes(out: Any, vectors: Any, divisor: Any) -> Any:
            return self._nearest(form, out, vectors, divisor)

        dtype = form.element.dtype(self.xp)
        return self._in_blocks(codes, form.split(values, self.xp), divisor, dtype=dtype)

    def squared_errors(self, form: TensorFormat, values: Any, divisor: Any, scales: Any, gamma: Any) -> Any:
        """Return ``sum (codes * scales - values / gamma)^2`` of each vector, [..., G]."""

        def errors(out: Any, vectors: Any, divisor: Any, scales: Any, gamma: Any) -> Any:
            codes = self._nearest(form, out, vectors, divisor)
            return second_level.squared_errors(vectors / gamma[..., None], codes, scales, self.xp)

        return self._in_blocks(errors, form.split(values, self.xp), divisor, scales, gamma)

    def reals(self, form: TensorFormat, values: Any, divisor: Any, step: Any) -> Any:
        """Return ``codes * step``, [..., K] in float32; nothing is padded."""

        def products(out: Any, vectors: Any, divisor: Any, step: Any) -> Any:
            return self.xp.multiply(self._nearest(form, out, vectors, divisor), step[..., None], out=out)

        found = [
            self._in_blocks(products, part, divisor[..., here], step[..., here]) for part, here in _parts(form, values)
        ]
        return self._joined([part.reshape(*values.shape[:-1], -1) for part in found])

    def _nearest(self, form: TensorFormat, out: Any, vectors: Any, divisor: Any) -> Any:
        """Return codes as float32, in ``out`` unless it is None."""
        return form.element.nearest(self.xp.divide(vectors, divisor[..., None], out=out), self.xp, out=out)

    def _joined(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self.xp.concatenate(parts, axis=-1)

    def _in_blocks(self, function: Callable[..., Any], vectors: Any, *others: Any, dtype: Any = None) -> Any:
        """Return ``function(out, vectors, *others)``, computed for so many elements at a time along the first axis.

        Args:
            function: Elementwise, or with one result for each vector. It may use ``out``, float32 of the shape of its
                vectors, unless it is None.
            others: One value for each vector; a first axis of 1 broadcasts.
            dtype: Of the result; float32 if it is None.
        """
        xp, rows, dtype = self.xp, vectors.shape[0], dtype or self.xp.float32
        step = rows if self.block is None else max(1, self.block * rows // math.prod(vectors.shape))
        if step >= rows:
            return xp.asarray(function(None, vectors, *others), dtype=dtype)
        result, out = None, xp.empty_like(vectors[:step])
        for begin in range(0, rows, step):
            part = slice(begin, begin + step)
            found = function(
                out[: rows - begin], vectors[part], *(other if other.shape[0] == 1 else other[part] for other in others)
            )
            if result is None:
                result = xp.empty_like(vectors if found.ndim == vectors.ndim else vectors[..., 0], dtype=dtype)
            result[part] = found
        return result


def _parts(form: TensorFormat, values: Any) -> list[tuple[Any, slice]]:
    """Return [..., K] as whole vectors [..., K // V, V], and as the shorter last one, [..., 1, K % V], with places."""
    size = form.vector_size
    groups = values.shape[-1] // size
    whole, parts = groups * size, []
    if groups:
        parts.append((values[..., :whole].reshape(*values.shape[:-1], -1, size), slice(0, groups)))
    if whole < values.shape[-1]:
        parts.append((values[..., None, whole:], slice(groups, groups + 1)))
    return parts
