"""The quantization of a layer: formats, source and rounding of its scales."""

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice
from vsq.golden.formats.elements import Format, IntFormat
from vsq.golden.quantizer.checks import check_flag, check_number
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRounding, ScaleRule
from vsq.golden.quantizer.second_level import has_fixed_gamma
from vsq.golden.quantizer.tensor import Granularity


class WeightScales(StrEnum):
    """The criterion for a weight's scales."""

    MAX = "max"  # its largest magnitudes
    MMSE = "mmse"  # the least squared error
    HESSIAN = "hessian"  # the same, weighted by how much an element's error changes the layer's output


class WeightCodes(StrEnum):
    """The rounding of a weight to codes."""

    NEAREST = "nearest"
    GPTQ = "gptq"  # column by column, each error made up for by the columns that follow


class InputGamma(StrEnum):
    """The source of the gamma of a layer's inputs."""

    STATIC = "static"  # calibrated, one for all inputs
    TENSOR = "tensor"  # each call's whole input
    ROW = "row"  # what one row of outputs is computed from: a token of a Linear, a window of a convolution


class Calibration(StrEnum):
    """The method that chooses the threshold of a static gamma."""

    MAX = "max"  # the largest magnitude
    PERCENTILE = "percentile"  # the magnitude that a share of all elements stays below
    ENTROPY = "entropy"  # the least Kullback-Leibler divergence
    MSE = "mse"  # the least squared error of the quantizer itself


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """The quantization of one layer's weights and inputs.

    Args:
        config: Formats, V and the rounding of scale products; a text is parsed. A side without integer scales has one
            gamma per output channel (weights), or one for what ``input_gamma`` says.
        weight_scales: ``max``, ``mmse`` or ``hessian``; by default ``max``, and ``hessian`` under ``gptq``, which
            has no other.
        weight_codes: ``nearest`` or ``gptq``.
        bias_correction: Whether the bias restores the mean of the float outputs; a layer without gets one.
        smoothing: alpha, 0 to 1: inputs that come from a normalization are multiplied by rms^-alpha of their channel,
            and weights by the inverse. The normalization takes the factors up where such layers alone read its
            outputs; elsewhere hardware multiplies so before it quantizes the inputs.
        feedback: Strength, 0 to 1, with which weights make up for the error of their inputs before they are rounded.
        input_gamma: ``static``, ``tensor`` or ``row``.
        calibration, percentile: How a static gamma is chosen: ``max``, ``percentile``, ``entropy`` or ``mse``.
        order: See :class:`vsq.golden.quantizer.core.Order`.
        weight_rounding, input_rounding: Rounding of scales. By default integer scales of inputs are rounded up, because
            vectors far below a static gamma would vanish otherwise, and all others to the nearest.
        scale_rule: Of scales that are powers of two: ``floor``, ``ceil`` or ``even``.
        four_over_six: Whether each vector's largest magnitude becomes 6 or 4 in E2M1, whichever errs less.
        weight_gamma: ``channel`` or ``tensor``: what shares one; by default ``channel``, and ``tensor`` where scales
            are no integers, as NVFP4 has it.
        float_scales: One float32 scale for each vector of either side, and no second level: the accuracy that integer
            scales approach. No hardware has it.

    Attributes:
        weights, inputs: The quantizers of weights [N, P, C] and of input rows [M, P, C].

    Raises:
        InputError: If ``config`` is no configuration, a name is not one of its options, a flag or number is none or
            out of range, or ``float_scales`` meets integer scales.
    """

    config: MacConfig
    weight_scales: WeightScales = None  # type: ignore[assignment]  # set below
    weight_codes: WeightCodes = WeightCodes.NEAREST
    bias_correction: bool = False
    smoothing: float = 0.0
    feedback: float = 0.0
    input_gamma: InputGamma = InputGamma.STATIC
    calibration: Calibration = Calibration.MAX
    percentile: float = 99.99
    order: Order = Order.REQUANTIZED
    weight_rounding: ScaleRounding = ScaleRounding.NEAREST
    input_rounding: ScaleRounding = None  # type: ignore[assignment]  # set below
    scale_rule: ScaleRule = ScaleRule.FLOOR
    four_over_six: bool = False
    weight_gamma: Granularity = None  # type: ignore[assignment]  # set below
    float_scales: bool = False
    weights: Quantizer = field(init=False, repr=False, compare=False)
    inputs: Quantizer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", _config(self.config))
        for name in ("bias_correction", "float_scales"):
            check_flag(name, getattr(self, name))
        by_codes = WeightScales.HESSIAN if self.weight_codes == WeightCodes.GPTQ else WeightScales.MAX
        scales = by_codes if self.weight_scales is None else choice("weight scales", self.weight_scales, WeightScales)
        object.__setattr__(self, "weight_scales", scales)
        self._default("input_rounding", ScaleRounding, _integers(self.config.activation_scale), "ceil", "nearest")
        self._default("weight_gamma", Granularity, _integers(self.config.weight_scale), "channel", "tensor")
        if self.weight_gamma == Granularity.TOKEN:
            raise InputError("weight gamma token: choose channel or tensor")
        for each in fields(self):
            if isinstance(each.default, StrEnum):
                value = choice(each.name.replace("_", " "), getattr(self, each.name), type(each.default))
                object.__setattr__(self, each.name, value)
        if self.float_scales and any(self.config.scales):
            raise InputError(f"float scales: {self.config} has scales of its own; write - in their place")
        if self.weight_codes == WeightCodes.GPTQ and scales != WeightScales.HESSIAN:
            raise InputError(
                f"weight scales {scales}: codes by gptq have those of the Hessian; leave weight_scales out"
            )
        for name in ("smoothing", "feedback"):
            check_number(name, getattr(self, name), 0, 1, 0.3)
        check_number("percentile", self.percentile, 0, 100, 99.99, above=True)

        of_rows = Granularity.CHANNEL if self.input_gamma == InputGamma.ROW else Granularity.TENSOR
        for side, make, granularity, rounding in (
            ("weights", Quantizer.for_weights, self.weight_gamma, self.weight_rounding),
            ("inputs", Quantizer.for_activations, of_rows, self.input_rounding),
        ):
            shared = Granularity.TOKEN if self.float_scales else granularity
            options = {"scale_rule": self.scale_rule, "four_over_six": self.four_over_six}
            quantizer = make(self.config, granularity=shared, order=self.order, scale_rounding=rounding, **options)
            object.__setattr__(self, side, quantizer)

    def _default(self, name: str, kind: type[StrEnum], integers: bool, of_integers: str, of_others: str) -> None:
        """Give an option that was left out the value that suits the scales."""
        value = getattr(self, name)
        value = (of_integers if integers else of_others) if value is None else value
        object.__setattr__(self, name, choice(name.replace("_", " "), value, kind))

    @classmethod
    def of(cls, value: Any) -> "Scheme":
        """Return a scheme as it is, or that of a configuration or its text with all else as it is by default."""
        return value if isinstance(value, Scheme) else cls(config=_config(value))

    def __str__(self) -> str:
        """The configuration's full name; with float32 scales, ``fp`` in their place."""
        return self.config.full_name.replace("-/-", "fp/fp") if self.float_scales else self.config.full_name

    @property
    def fitted(self) -> bool:
        """Whether weights or biases depend on calibration data."""
        methods = (self.bias_correction, self.smoothing, self.feedback)
        return self.weight_scales == WeightScales.HESSIAN or any(methods)

    @property
    def calibrated(self) -> bool:
        """Whether the inputs' gamma is static."""
        fixed = self.float_scales or has_fixed_gamma(self.config.activation_scale)
        return self.input_gamma == InputGamma.STATIC and not fixed


def _integers(scale: Format | None) -> bool:
    """Return whether scales are integers, or none."""
    return scale is None or isinstance(scale, IntFormat)


def _config(value: Any) -> MacConfig:
    """Return a configuration that may be given as a text."""
    if isinstance(value, str):
        return MacConfig.parse(value)
    if not isinstance(value, MacConfig):
        raise InputError(f"configuration {value!r}: give a text such as '4/8/6/10', a preset's name or a MacConfig")
    return value
