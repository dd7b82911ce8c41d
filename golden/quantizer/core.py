"""Two-level per-vector quantization of tensors to integers, written once for NumPy and PyTorch arrays.

    s[k,i]  = max_j |x[k,i,j]| / qmax            one per vector of V elements
    gamma   = max_i s[k,i] / (2^M - 1)           one per channel, token or tensor; or given (calibrated)
    sq[k,i] = round(s / gamma)                   0 .. 2^M-1, in the named scale rounding
    q       = nearest(x / s')                    s' = sq*gamma (requantized) or s (paper)

In dual precision (:mod:`vsq.golden.model.dual_precision`) sq is of at most 224 / qmax.

Without scale format the single level is gamma = max s, s' = gamma. ``round`` goes half to even; ``nearest`` is the
element format's, for integers clip(round(x / s')). Scales that are small floats or powers of two have gamma and sq as
:mod:`vsq.golden.quantizer.second_level` defines them.

The order of these float32 operations is part of the contract: every division is a true, correctly rounded division, so
that all libraries and devices give the same integers. Gradual underflow is kept. A quotient by zero counts as zero: a
vector of zeros has sq = 0, a scale of zero has q = 0, and so has everything whose gamma underflows to zero. A quotient
or scale beyond float32 clips to the largest value.

Source: VS-Quant (Dai et al., MLSys 2021), equations 3 to 7.
"""

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, NamedTuple

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import E4M3_TO_224, Minifloat
from vsq.golden.quantizer import second_level
from vsq.golden.quantizer.checks import given, real_values, refuse
from vsq.golden.quantizer.passes import Passes
from vsq.golden.quantizer.second_level import ScaleRounding as ScaleRounding
from vsq.golden.quantizer.second_level import ScaleRule as ScaleRule
from vsq.golden.quantizer.second_level import divided, or_infinite
from vsq.golden.quantizer.tensor import Granularity, Quantized, TensorFormat, quiet

_NUMPY = Passes()


class Order(StrEnum):
    """The scale that the elements are divided by: the one that hardware multiplies by, or the unrounded one (Eq. 7)."""

    REQUANTIZED = "requantized"
    PAPER = "paper"


@dataclass(frozen=True, kw_only=True)
class Quantizer(TensorFormat):
    """The quantization of one tensor to integers of a format; the single level has no use for order and rounding.

    Args:
        order, scale_rounding: For scales that are no powers of two.
        scale_rule: For scales that are.
        four_over_six: Whether each vector's peak becomes 6 or 4 in E2M1, whichever gives the lesser squared error.

    Raises:
        InputError: As :class:`vsq.golden.quantizer.tensor.TensorFormat` does; if a name is not one of its options; if
            scales that are no integers are to be rounded up, or ``four_over_six`` meets other formats than E2M1 with
            scales that are small floats.
    """

    order: Order = Order.REQUANTIZED
    scale_rounding: ScaleRounding = ScaleRounding.NEAREST
    scale_rule: ScaleRule = ScaleRule.FLOOR
    four_over_six: bool = False
    format: TensorFormat = field(init=False, repr=False, compare=False)  # alone, of all tensors that it makes

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "order", choice("order", self.order, Order))
        object.__setattr__(self, "scale_rounding", choice("scale rounding", self.scale_rounding, ScaleRounding))
        object.__setattr__(self, "scale_rule", choice("scale rule", self.scale_rule, ScaleRule))
        if isinstance(self.scale, E8M0) and self.order == Order.PAPER:
            raise InputError(
                f"order {self.order}: scales {self.scale} are powers of two, not rounded ones; leave it out"
            )
        floats = isinstance(self.scale, Minifloat)
        if floats and self.scale_rounding == ScaleRounding.CEIL:
            raise InputError(f"scale rounding ceil: scales {self.scale} are not integers; choose nearest")
        if self.four_over_six and not (floats and str(self.element) == "e2m1"):
            formats = f"elements {self.element} with scales {self.scale or '-'}"
            raise InputError(f"four over six: {formats}, but it is for e2m1 with ue4m3 or ue5m3; leave it out")
        form = TensorFormat(**{each.name: getattr(self, each.name) for each in fields(TensorFormat)})
        object.__setattr__(self, "format", form)

    @classmethod
    def for_weights(cls, config: MacConfig, **options: Any) -> "Quantizer":
        """Return the quantizer of ``config``'s weight side: gamma per channel, unless ``options`` say otherwise."""
        options = {"granularity": Granularity.CHANNEL, "dual_precision": config.dual_precision, **options}
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
        passes: Passes = _NUMPY,
    ) -> Quantized[Any]:
        """Quantize ``x``.

        Args:
            x: Real values, [..., K] with at least two axes; vectors run along the last one, padded with zeros.
            gamma: Calibrated values, as many as the granularity asks for; None takes them from the vector scales.
            vector_scales: s, [..., G], where another rule than the maximum chose them; None takes them from ``x``.
            name: Of ``x`` in error messages.
            checked: Whether values are looked at first; otherwise no step depends on data, as a compiled graph needs,
                and a gamma that values with NaN share is NaN.
            passes: Those over all elements: NumPy's, or PyTorch's through :mod:`vsq.golden.quantizer.pytorch`.

        Raises:
            InputError: If ``x`` is not finite in float32, is empty, has one axis, or is negative in an unsigned format;
                or if ``gamma`` or ``vector_scales`` have the wrong size, or are negative or not finite.
        """
        xp = passes.xp
        with quiet(xp):
            values = real_values(x, name, xp)
            peaks: Any = self._peaks(values, name, checked, passes)
            s = divided(peaks, self.element.qmax, xp)
            if vector_scales is not None:
                what, rule = f"vector scales of {name}", "there is one for each vector"
                peaks, s = None, given(vector_scales, tuple(s.shape), what, rule, checked, xp)
            level = self._second_level(values, peaks, s, gamma, name, checked, passes)
            return Quantized(
                codes=passes.codes(self, values, xp.broadcast_to(level.divisor, s.shape)),
                scales=level.scales,
                gamma=level.gamma if checked else self._nan_of(s, level.gamma, xp),
                length=values.shape[-1],
                format=self.format,
                xp=xp,
            )

    def dequantized(
        self, x: Any, *, gamma: Any = None, name: str = "tensor", checked: bool = True, passes: Passes = _NUMPY
    ) -> Any:
        """Return ``quantize(x).dequantize()``, [..., K] in float32, without the integers in between.

        Nothing is padded, and of whole vectors the memory layout is that of ``x``. Parameters are those of
        :meth:`quantize`.
        """
        if self.dual_precision:
            return self.quantize(x, gamma=gamma, name=name, checked=checked, passes=passes).dequantize()
        xp = passes.xp
        with quiet(xp):
            values = real_values(x, name, xp)
            peaks = self._peaks(values, name, checked, passes)
            s = divided(peaks, self.element.qmax, xp)
            level = self._second_level(values, peaks, s, gamma, name, checked, passes)
            return passes.reals(self, values, *(xp.broadcast_to(each, s.shape) for each in (level.divisor, level.step)))

    def gamma(self, x: Any, *, name: str = "tensor", checked: bool = True, passes: Passes = _NUMPY) -> Any:
        """Return the gamma that :meth:`quantize` takes from ``x``: float32, with one axis for each of ``x``.

        The largest gamma of several batches is the gamma of all of them: this is max calibration.
        """
        xp = passes.xp
        with quiet(xp):
            peaks = self._peaks(real_values(x, name, xp), name, checked, passes)
            return self._shared_gamma(peaks, divided(peaks, self.element.qmax, xp), xp)

    def _peaks(self, values: Any, name: str, checked: bool, passes: Passes) -> Any:
        """Return the largest magnitudes, [..., G], of vectors; refuse what cannot be quantized."""
        xp, peaks = passes.xp, passes.peaks(self, values)
        if checked and not xp.isfinite(peaks).all():  # a peak is finite only if all elements are
            refuse(~xp.isfinite(values), values, name, "must be finite in float32; remove NaN and infinity first", xp)
        if checked and not self.element.signed and xp.amin(values) < 0:
            rule = f"the unsigned format {self.element} holds no negative value; choose a signed one or apply ReLU"
            refuse(values < 0, values, name, rule, xp)
        return peaks

    def _shared_gamma(self, peaks: Any, s: Any, xp: Any) -> Any:
        shape = self.gamma_shape(s.shape)
        return second_level.shared_gamma(self.element, self.scale, self._largest_scale, peaks, s, shape, xp)

    @property
    def _largest_scale(self) -> int:
        """smax: with which the peak stays below E4M3's limit, or 3/2 of which is a scale too, where that is asked."""
        most = 0 if self.scale is None else self.scale.max
        if self.dual_precision:
            return E4M3_TO_224.max // self.element.qmax
        return second_level.power_below(most) if self.four_over_six else most

    def _nan_of(self, s: Any, gamma: Any, xp: Any) -> Any:
        """Return gamma, and NaN where it is shared with an s of NaN: integers have none."""
        shape = self.gamma_shape(s.shape)
        odd = xp.isnan(s).reshape(math.prod(shape), -1).any(-1).reshape(shape)
        return xp.where(odd, math.nan, gamma)

    def _second_level(
        self, values: Any, peaks: Any, s: Any, gamma: Any, name: str, checked: bool, passes: Passes
    ) -> "_SecondLevel":
        """Return what the second level makes of the values' vectors; without ``peaks``, of s that the caller chose."""
        shape, xp = tuple(s.shape), passes.xp
        if gamma is None:
            gamma = self._shared_gamma(peaks, s, xp)
        elif second_level.has_fixed_gamma(self.scale):
            raise InputError(
                f"gamma of {name}: scales {self.scale} hold every magnitude, and gamma is fixed; leave it out"
            )
        else:
            sharing = f"granularity {self.granularity} has {math.prod(self.gamma_shape(shape))} of them"
            gamma = given(gamma, self.gamma_shape(shape), f"gamma of {name}", sharing, checked, xp)
        level = self._with_scales(peaks, s, gamma, xp)
        if not self.four_over_six or peaks is None:
            return level
        finer = self._with_scales(None, divided(peaks, second_level.power_below(self.element.qmax), xp), gamma, xp)
        errors = [self._squared_errors(values, each, passes) for each in (finer, level)]
        wins = errors[0] < errors[1]
        return _SecondLevel(gamma, *(xp.where(wins, *pair) for pair in zip(finer[1:], level[1:], strict=True)))

    def _with_scales(self, peaks: Any, s: Any, gamma: Any, xp: Any) -> "_SecondLevel":
        if self.scale is None:
            scales = None
        elif isinstance(self.scale, E8M0) and peaks is not None:
            scales = second_level.exponent_codes(self.scale, self.element, peaks, self.scale_rule, xp)
        else:
            scales = second_level.scale_codes(self.scale, s, gamma, self.scale_rounding, xp)
        step = self.steps(scales, gamma, xp)
        divisor = s if scales is not None and self.order == Order.PAPER else step
        return _SecondLevel(gamma, scales, step, or_infinite(divisor, xp))

    def _squared_errors(self, values: Any, level: "_SecondLevel", passes: Passes) -> Any:
        """Return the squared error of each vector, [..., G], in units of gamma."""
        assert self.scale is not None
        xp, shape = passes.xp, level.divisor.shape
        gamma = xp.broadcast_to(or_infinite(level.gamma, xp), shape)
        return passes.squared_errors(self, values, level.divisor, self.scale.reals(level.scales, xp), gamma)


class _SecondLevel(NamedTuple):
    """Results of the second level for vectors [..., G]."""

    gamma: Any
    scales: Any  # sq, int32; None for the single level
    step: Any  # the real value of one code
    divisor: Any  # what elements are divided by; not 0
