"""The quantization of a layer: formats, source and rounding of its scales; and the rules that assign it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase

from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, choice, did_you_mean
from vsq.golden.nn.calibration import Calibration
from vsq.golden.quantizer.core import Order, Quantizer, ScaleRounding
from vsq.golden.quantizer.tensor import Granularity


class WeightScales(StrEnum):
    """The criterion for a weight's scales: its largest magnitudes, or the least squared error."""

    MAX = "max"
    MMSE = "mmse"


class InputGamma(StrEnum):
    """The source of the gamma of a layer's inputs."""

    STATIC = "static"  # calibrated, one for all inputs
    TENSOR = "tensor"  # each call's whole input
    ROW = "row"  # what one row of outputs is computed from: a token of a Linear, a window of a convolution


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """The quantization of one layer's weights and inputs.

    Args:
        config: Formats, V and the rounding of scale products. A side without integer scales has one gamma per output
            channel (weights), or one for what ``input_gamma`` says.
        weight_scales, input_gamma: ``max`` or ``mmse``; ``static``, ``tensor`` or ``row``.
        calibration, percentile: How a static gamma is chosen: ``max``, ``percentile``, ``entropy`` or ``mse``.
        order: See :class:`vsq.golden.quantizer.core.Order`.
        weight_rounding, input_rounding: Rounding of integer scales. Inputs round up, because vectors far below a static
            gamma would vanish otherwise.
        float_scales: One float32 scale for each vector of either side, and no second level: the accuracy that integer
            scales approach. No hardware has it.

    Attributes:
        weights, inputs: The quantizers of weights [N, P, C] and of input rows [M, P, C].

    Raises:
        InputError: If a name is not one of its options, or ``float_scales`` meets integer scales.
    """

    config: MacConfig
    weight_scales: WeightScales = WeightScales.MAX
    input_gamma: InputGamma = InputGamma.STATIC
    calibration: Calibration = Calibration.MAX
    percentile: float = 99.99
    order: Order = Order.REQUANTIZED
    weight_rounding: ScaleRounding = ScaleRounding.NEAREST
    input_rounding: ScaleRounding = ScaleRounding.CEIL
    float_scales: bool = False
    weights: Quantizer = field(init=False, repr=False, compare=False)
    inputs: Quantizer = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for each in fields(self):
            if isinstance(each.default, StrEnum):
                value = choice(each.name.replace("_", " "), getattr(self, each.name), type(each.default))
                object.__setattr__(self, each.name, value)
        if self.float_scales and self.config.full_product_bits:
            raise InputError(f"float scales: {self.config} has integer scales; write - in their place")

        of_rows = Granularity.CHANNEL if self.input_gamma == InputGamma.ROW else Granularity.TENSOR
        for side, make, granularity, rounding in (
            ("weights", Quantizer.for_weights, Granularity.CHANNEL, self.weight_rounding),
            ("inputs", Quantizer.for_activations, of_rows, self.input_rounding),
        ):
            shared = Granularity.TOKEN if self.float_scales else granularity
            quantizer = make(self.config, granularity=shared, order=self.order, scale_rounding=rounding)
            object.__setattr__(self, side, quantizer)

    def __str__(self) -> str:
        """The configuration's full name; with float32 scales, ``fp`` in their place."""
        return self.config.full_name.replace("-/-", "fp/fp") if self.float_scales else self.config.full_name

    @property
    def calibrated(self) -> bool:
        """Whether the inputs' gamma is static."""
        return self.input_gamma == InputGamma.STATIC and not self.float_scales


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The quantization of the layers that match; no scheme leaves them in float.

    Args:
        pattern: Of the module's name, as a shell writes it: ``encoder.*.query``; ``*`` matches dots too.
        kind: Of the module; a subclass matches too.
    """

    pattern: str = "*"
    kind: type[nn.Module] = nn.Module
    scheme: Scheme | None

    def matches(self, name: str, layer: nn.Module) -> bool:
        """Return whether the rule speaks of the layer."""
        return isinstance(layer, self.kind) and fnmatchcase(name, self.pattern)


def assign(
    layers: Mapping[str, nn.Module], default: Scheme, rules: Sequence[Rule] = (), skip: Iterable[str] = ()
) -> dict[str, Scheme | None]:
    """Return each layer's scheme by module name; None for one that stays in float.

    Args:
        default: Of the layers that no rule matches.
        rules: In the order in which they are asked.
        skip: Patterns of layers that stay in float, asked before the rules.

    Raises:
        InputError: If a rule or pattern matches no layer; the message lists near names.
    """
    ordered = [*(Rule(pattern=pattern, scheme=None) for pattern in skip), *rules]
    for rule in ordered:
        if not any(rule.matches(name, layer) for name, layer in layers.items()):
            of_kind = "" if rule.kind is nn.Module else f" of type {rule.kind.__name__}"
            raise InputError(
                f"pattern {rule.pattern!r}: matches no layer{of_kind} that can be quantized; "
                f"{did_you_mean(rule.pattern, layers)}"
            )
    ordered.append(Rule(scheme=default))
    return {name: next(rule.scheme for rule in ordered if rule.matches(name, layer)) for name, layer in layers.items()}
