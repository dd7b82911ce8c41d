"""A quantized tensor: integer codes, integer scales per vector, and real gammas."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from vsq.golden.model.operand import Operand

if TYPE_CHECKING:
    from vsq.golden.quantizer.core import Quantizer

FLOAT32_MAX = float(np.finfo(np.float32).max)

Array = TypeVar("Array", bound=Any)  # numpy.ndarray or torch.Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized(Generic[Array]):
    """A tensor as integers: it stands for codes * scales * gamma.

    Parameters
    ----------
    codes
        int32, [..., G, V]; the tail of the last vector is zero.
    scales
        int32, [..., G]; None for the single level.
    gamma
        float32, one axis for each of the original tensor's; broadcasts against ``scales``.
    length
        Elements K of the original last axis.
    quantizer
        What it was quantized by; holds the formats.
    xp
        The array namespace of the arrays.
    """

    codes: Array
    scales: Array | None
    gamma: Array
    length: int
    quantizer: "Quantizer"
    xp: Any = np

    def dequantize(self) -> Array:
        """Return ``codes * (scales * gamma)`` in float32, [..., K], without the padding."""
        values: Array = self.vectors().reshape(*self.codes.shape[:-2], -1)[..., : self.length]
        return values

    def vectors(self) -> Array:
        """Return ``codes * (scales * gamma)`` in float32, [..., G, V]; the padding is zero."""
        xp = self.xp
        with quiet(xp):
            step = step_size(self.scales, self.gamma, xp)
            values: Array = xp.asarray(self.codes, dtype=xp.float32) * step[..., None]
        return values

    def operand(self) -> Operand:
        """Return codes [R, G', V] and scales [R, G'] as :func:`vsq.golden.model.datapath.matmul` takes them.

        R is the first axis; the axes between it and V become G', so they are summed over in this order.
        """
        axes = self.codes.ndim - 1
        return Operand(self.codes, self.scales).map(lambda array: array.reshape(len(array), -1, *array.shape[axes:]))


def step_size(scales: Any, gamma: Any, xp: Any) -> Any:
    """Return the real value of one code: scales * gamma in float32, below infinity."""
    if scales is None:
        return gamma
    product = xp.asarray(scales, dtype=xp.float32) * gamma
    return xp.minimum(product, xp.full_like(product, FLOAT32_MAX))  # an array: NumPy 1 promotes by a number's value


def quiet(xp: Any) -> AbstractContextManager[Any]:
    """Return a context in which NumPy does not warn of overflow, which the arithmetic clips; PyTorch never warns."""
    return np.errstate(over="ignore") if xp is np else nullcontext()
