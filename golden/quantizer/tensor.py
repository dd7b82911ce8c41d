"""A quantized tensor, integer codes with integer scales per vector and real gammas; and its format."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Generic, TypeVar

import numpy as np

from vsq.golden.contract.errors import InputError, choice
from vsq.golden.contract.mac_options import MAX_VECTOR_SIZE
from vsq.golden.formats.elements import Format
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.model.dual_precision import rounded

FLOAT32_MAX = float(np.finfo(np.float32).max)

Array = TypeVar("Array", bound=Any)  # numpy.ndarray or torch.Tensor


class Granularity(StrEnum):
    """The scope of one gamma: an index of the first axis, a row (all axes but the last), or the whole tensor."""

    CHANNEL = "channel"
    TOKEN = "token"
    TENSOR = "tensor"


@dataclass(frozen=True, kw_only=True)
class TensorFormat:
    """The format of a tensor in vectors along its last axis.

    Raises:
        InputError: If the granularity is not one of its options, V is out of range, or the scale is signed.
    """

    element: Format  # signed codes stay in the narrow range +-qmax; unsigned formats take no negative values
    scale: Format | None  # of the per-vector scales, unsigned; None for the single level
    vector_size: int  # elements, V
    granularity: Granularity
    dual_precision: bool = False  # codes times scales are rounded to E4M3 (vsq.golden.model.dual_precision)

    def __post_init__(self) -> None:
        object.__setattr__(self, "granularity", choice("granularity", self.granularity, Granularity))
        if not 1 <= self.vector_size <= MAX_VECTOR_SIZE:
            rule = f"must be 1 to {MAX_VECTOR_SIZE}; choose one in that range"
            raise InputError(f"vector size {self.vector_size}: {rule}")
        if self.scale is not None and self.scale.signed:
            raise InputError(f"scale {self.scale}: scales are unsigned; give an unsigned format")
        if self.dual_precision and str(self.scale) != "ue4m3":
            raise InputError(f"dual precision: scale {self.scale or '-'}, but weights in it have ue4m3; give that")

    def gamma_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of gamma for a tensor of ``shape``: its leading axes that do not share, then axes of 1."""
        axes = {Granularity.CHANNEL: 1, Granularity.TOKEN: len(shape) - 1, Granularity.TENSOR: 0}[self.granularity]
        return (*shape[:axes], *[1] * (len(shape) - axes))

    def steps(self, scales: Any, gamma: Any, xp: Any = np) -> Any:
        """Return the real values of one code, given codes of scales, [..., G], or None for the single level."""
        return step_size(None if self.scale is None else self.scale.reals(scales, xp), gamma, xp)

    def multiplied(self, codes: Any, scales: Any, gamma: Any, xp: Any = np) -> tuple[Any, Any]:
        """Return what multipliers see of codes [..., V], and its real unit; scales [...] are values, or None.

        That is the codes with their steps, or in dual precision ``E4M3(codes * scales)`` with gamma.
        """
        if self.dual_precision:
            return rounded(codes, scales, xp), gamma
        return codes, step_size(scales, gamma, xp)

    def split(self, values: Any, xp: Any = np) -> Any:
        """Return [..., K] as vectors [..., G, V], the tail padded with zeros."""
        *lead, length = values.shape
        groups = -(-length // self.vector_size)
        padding = groups * self.vector_size - length
        if padding:
            zeros = xp.broadcast_to(xp.zeros_like(values[..., :1]), (*lead, padding))
            values = xp.concatenate([values, zeros], axis=-1)
        return values.reshape(*lead, groups, self.vector_size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized(Generic[Array]):
    """A tensor as integers: it stands for codes * scales * gamma, or codes * 2^(scales - 127) * gamma with E8M0.

    In dual precision it stands for E4M3(codes * scales) * gamma.
    """

    codes: Array  # int32, or int64 of e5m2, [..., G, V]; the tail of the last vector is zero
    scales: Array | None  # int32, [..., G]; None for the single level
    gamma: Array  # float32, one axis for each of the original tensor's; broadcasts against ``scales``
    length: int  # elements K of the original last axis
    format: TensorFormat
    xp: Any = np  # the namespace of the arrays

    def dequantize(self) -> Array:
        """Return ``codes * (scales * gamma)`` in float32, or what else it stands for, [..., K], without the padding.

        The last vector, if it is short, is computed by itself: a compiled slice within it would be garbage
        (``docs/quantizer.md``).
        """
        xp, (*lead, _, size) = self.xp, self.codes.shape
        whole, rest = self.length // size, self.length % size  # compiled graphs know no divmod
        with quiet(xp):
            scale, codes = self.format.scale, xp.asarray(self.codes, dtype=xp.float32)
            reals = None if scale is None else scale.reals(self.scales, xp)
            codes, steps = self.format.multiplied(codes, reals, self.gamma, xp)
            steps = xp.broadcast_to(steps, codes.shape[:-1])[..., None]
            values: Array = (codes[..., :whole, :] * steps[..., :whole, :]).reshape(*lead, whole * size)
            if rest:
                last = codes[..., whole, :rest] * steps[..., whole, :]
                values = xp.concatenate([values, last], axis=-1)
        return values

    def convert(self, change: Callable[[Any], Any], xp: Any) -> "Quantized[Any]":
        """Return the same integers and gammas with arrays of another namespace, which ``change`` makes of these."""
        codes, scales = BlockOperand(self.codes, self.scales).map(change)
        return replace(self, codes=codes, scales=scales, gamma=change(self.gamma), xp=xp)

    def operand(self) -> BlockOperand:
        """Return codes [R, G', V] and scales [R, G'] as :func:`vsq.golden.model.datapath.matmul` takes them.

        R is the first axis; the axes between it and V become G', so they are summed over in this order.
        """
        axes, operand = self.codes.ndim - 1, BlockOperand(self.codes, self.scales)
        return operand.map(lambda array: array.reshape(array.shape[0], -1, *array.shape[axes:]))


def step_size(scales: Any, gamma: Any, xp: Any) -> Any:
    """Return the real value of one code: scales * gamma in float32, below infinity; scales are values, not codes."""
    if scales is None:
        return gamma
    product = scales * gamma
    return xp.minimum(product, xp.full_like(product, FLOAT32_MAX))  # an array: NumPy 1 promotes by a number's value


def quiet(xp: Any) -> AbstractContextManager[Any]:
    """Return a context in which NumPy does not warn of overflow, which the arithmetic clips; PyTorch never warns."""
    return np.errstate(over="ignore") if xp is np else nullcontext()
