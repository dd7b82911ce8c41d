"""Two-level per-vector quantization of tensors to integers, written once for NumPy and PyTorch arrays.

    s[k,i]  = max_j |x[k,i,j]| / qmax            one per vector of V elements
    gamma   = max_i s[k,i] / (2^M - 1)           one per channel, token or tensor; or given (calibrated)
    sq[k,i] = round(s / gamma)                   0 .. 2^M-1, in the named scale rounding
    q       = nearest(x / s')                    s' = sq*gamma (requantized) or s (paper)

Without scale format the single level is gamma = max s, s' = gamma. ``round`` goes half to even; ``nearest`` is the
element format's, for integers clip(round(x / s')).

The order of these float32 operations is part of the contract: every division is a true, correctly rounded division, so
that all libraries and devices give the same integers. Gradual underflow is kept. A quotient by zero counts as zero: a
vector of zeros has sq = 0, a scale of zero has q = 0, and so has everything whose gamma underflows to zero. A quotient
or scale beyond float32 clips to the largest value.

Source: VS-Quant (Dai et al., MLSys 2021), equations 3 to 7.
"""

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.formats.elements import Format
from vsq.golden.quantizer.tensor import Granularity, Quantized, TensorFormat, quiet, step_size


class Order(StrEnum):
    """The scale that the elements are divided by: the one that hardware multiplies by, or the unrounded one (Eq. 7)."""

    REQUANTIZED = "requantized"
    PAPER = "paper"


class ScaleRounding(StrEnum):
    """The rounding of s / gamma to an integer."""

    NEAREST = "nearest"  # the paper's: vectors far below the largest have scale 0
    CEIL = "ceil"  # never clips an element
    AT_LEAST_ONE = "at_least_one"  # nearest, but vectors that are not all zero do not vanish


@dataclass(frozen=True, kw_only=True)
class Quantizer(TensorFormat):
    """The quantization of one tensor to integers of a format; the single level has no use for order and rounding."""

    order: Order = Order.REQUANTIZED
    scale_rounding: ScaleRounding = ScaleRounding.NEAREST
    format: TensorFormat = field(init=False, repr=False, compare=False)  # alone, of all tensors that it makes

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "order", choice("order", self.order, Order))
        object.__setattr__(self, "scale_rounding", choice("scale rounding", self.scale_rounding, ScaleRounding))
        form = TensorFormat(**{each.name: getattr(self, each.name) for each in fields(TensorFormat)})
        object.__setattr__(self, "format", form)

    @classmethod
    def for_weights(cls, config: MacConfig, **options: Any) -> "Quantizer":
        """Return the quantizer of ``config``'s weight side: gamma per channel, unless ``options`` say otherwise."""
        options = {"granularity": Granularity.CHANNEL, **options}
        return cls(element=config.weight, scale=config.weight_scale, vector_size=config.vector_size, **options)

    @classmethod
    def for_activations(cls, config: MacConfig, **options: Any) -> "Quantizer":
        """Return the quantizer of ``config``'s activation side: gamma per tensor, unless ``options`` say otherwise."""
        options = {"granularity": Granularity.TENSOR, **options}
        return cls(element=config.activation, scale=config.activation_scale, vector_size=config.vector_size, **options)

    def quantize(
        self,
        x: Any,
        *,
        gamma: Any = None,
        vector_scales: Any = None,
        name: str = "tensor",
        checked: bool = True,
        xp: Any = np,
    ) -> Quantized[Any]:
        """Quantize ``x``.

        Args:
            x: Real values, [..., K] with at least two axes; vectors run along the last one, padded with zeros.
            gamma: Calibrated values, as many as the granularity asks for; None takes them from the vector scales.
            vector_scales: s, [..., G], where another rule than the maximum chose them; None takes them from ``x``.
            name: Of ``x`` in error messages.
            checked: Whether values are looked at first; otherwise no step depends on data, as a compiled graph needs.
            xp: The array namespace: ``numpy``, or ``torch`` through :mod:`vsq.golden.quantizer.pytorch`.

        Raises:
            InputError: If ``x`` is not finite in float32, is empty, has one axis, or is negative in an unsigned format;
                or if ``gamma`` or ``vector_scales`` have the wrong size, or are negative or not finite.
        """
        with quiet(xp):
            length, vectors, s = self._vectors(x, name, checked, xp)
            shape = tuple(s.shape)
            if vector_scales is not None:
                what, rule = f"vector scales of {name}", "there is one for each vector"
                s = _given(vector_scales, shape, what, rule, checked, xp)
            if gamma is None:
                gamma = self._shared_scale(s, xp)
            else:
                sharing = f"granularity {self.granularity} has {math.prod(self.gamma_shape(shape))} of them"
                gamma = _given(gamma, self.gamma_shape(shape), f"gamma of {name}", sharing, checked, xp)
            scales = None if self.scale is None else self._scale_codes(s, gamma, self.scale, xp)
            divisor = s if scales is not None and self.order == Order.PAPER else step_size(scales, gamma, xp)
            codes = self.element.nearest(_quotient(vectors, divisor[..., None], xp), xp)
            return Quantized(
                codes=xp.asarray(codes, dtype=xp.int32),
                scales=None if scales is None else xp.asarray(scales, dtype=xp.int32),
                gamma=gamma,
                length=length,
                format=self.format,
                xp=xp,
            )

    def gamma(self, x: Any, *, name: str = "tensor", xp: Any = np) -> Any:
        """Return the gamma that :meth:`quantize` takes from ``x``: float32, with one axis for each of ``x``.

        The largest gamma of several batches is the gamma of all of them: this is max calibration.
        """
        with quiet(xp):
            *_, s = self._vectors(x, name, True, xp)
            return self._shared_scale(s, xp)

    def _vectors(self, x: Any, name: str, checked: bool, xp: Any) -> tuple[int, Any, Any]:
        """Return K, vectors [..., G, V] and s by their peaks, [..., G]; refuse what cannot be quantized."""
        try:
            values = xp.asarray(x, dtype=xp.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name}: {error}; give an array of real numbers") from None
        shape = tuple(values.shape)
        if len(shape) < 2 or 0 in shape:
            rule = "at least two axes, none of them empty, are needed; reshape it"
            raise InputError(f"{name}: shape {shape}, but {rule}")
        vectors = self.split(values, xp)
        peaks = xp.amax(xp.abs(vectors), axis=-1)
        if checked and not xp.isfinite(peaks).all():  # a peak is finite only if all elements are
            _refuse(~xp.isfinite(values), values, name, "must be finite in float32; remove NaN and infinity first", xp)
        if checked and not self.element.signed:
            rule = f"the unsigned format {self.element} holds no negative value; choose a signed one or apply ReLU"
            _refuse(values < 0, values, name, rule, xp)
        return shape[-1], vectors, _divide_by_constant(peaks, self.element.qmax, xp)

    def _shared_scale(self, s: Any, xp: Any) -> Any:
        """Return gamma: the largest s of what shares it, over 2^M-1 if scales are integers."""
        shape = self.gamma_shape(s.shape)
        largest = xp.amax(s.reshape(math.prod(shape), -1), axis=-1).reshape(shape)
        return largest if self.scale is None else _divide_by_constant(largest, self.scale.max, xp)

    def _scale_codes(self, s: Any, gamma: Any, scale: Format, xp: Any) -> Any:
        """Return sq as float32, [..., G]."""
        ratio = _quotient(s, gamma, xp)
        codes = xp.ceil(ratio) if self.scale_rounding == ScaleRounding.CEIL else xp.round(ratio)
        if self.scale_rounding == ScaleRounding.AT_LEAST_ONE:
            codes = xp.where((codes == 0) & (s > 0), 1.0, codes)
        return xp.clip(codes, 0, scale.max)


def _given(scales: Any, shape: tuple[int, ...], name: str, sharing: str, checked: bool, xp: Any) -> Any:
    """Return scales that the caller chose as float32 of ``shape``."""
    values = xp.asarray(scales, dtype=xp.float32)
    if math.prod(values.shape) != math.prod(shape):
        raise InputError(f"{name}: shape {tuple(values.shape)}, but {sharing}; give {math.prod(shape)} values")
    values = values.reshape(shape)
    if checked:
        bad = ~(values >= 0) | xp.isinf(values)
        _refuse(bad, values, name, "must be finite and not negative; calibrate it again", xp)
    return values


def _quotient(x: Any, divisor: Any, xp: Any) -> Any:
    """Return x / divisor, and 0 where the divisor is 0."""
    return x / xp.where(divisor > 0, divisor, math.inf)


def _divide_by_constant(x: Any, constant: int, xp: Any) -> Any:
    """Return x / constant, divided as arrays: CUDA divides by a Python number as a product with its reciprocal."""
    return x / xp.full_like(x, constant)


def _refuse(bad: Any, values: Any, name: str, rule: str, xp: Any) -> None:
    """Raise an InputError that names the first of the bad values, if there are any."""
    if bad.any():
        where = [int(i) for i in xp.argwhere(bad)[0]]
        raise InputError(f"{name}{where} = {float(values[tuple(where)])}: {rule}")
