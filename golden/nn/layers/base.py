"""The base of layers that compute with quantized weights and inputs, and can be trained with them.

    y = x^ W^T + bias          x^, W^: quantized, as float32;  gradients pass straight through to x and W

A layer sees its inputs as M rows of P window positions with C channels each, and its weights as [N, P, C]; vectors run
along the channels. A Linear has P = 1. A layer of G groups is G such layers: its rows are [M * G, P, C], of which
m * G + g is group g's, and the first N / G of its weights [N, P, C] are those of group 0, and so on.

Where the configuration rounds scale products, the forward pass computes with the rounded ones:

    y = (sum_g d_g * r_g) * 2^s * gamma_w * gamma_x + bias

Source: VS-Quant (Dai et al., MLSys 2021), sections 3 to 5; Bengio et al. (arXiv 1308.3432) for the gradients.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vsq.golden.contract.errors import InputError
from vsq.golden.model.datapath import accumulator_unit
from vsq.golden.nn import mmse
from vsq.golden.nn.layers import state
from vsq.golden.nn.layers.attributes import take_over
from vsq.golden.nn.layers.cache import Cache
from vsq.golden.nn.layers.gammas import Float32Gammas
from vsq.golden.nn.layers.rounding import Arranged, RoundedProducts
from vsq.golden.nn.layers.straight import straight_through, with_gradients
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Scheme, WeightScales
from vsq.golden.quantizer.tensor import Granularity, Quantized, TensorFormat


class QuantizedLayer(Float32Gammas):
    """The base of the quantized layers, each with all attributes and hooks of its float layer.

    A subclass says what its rows, weights and outputs are. Weights are quantized anew in each call, for training, until
    :meth:`freeze` keeps their integers.

    Args:
        layer: The float layer, whose parameters are shared.
        name: What error messages call the layer.
        sign: Of all weights, whose integers are then unsigned magnitudes: 1 or -1; 0 for weights of both signs.
    """

    groups: int = 1
    _argument: str  # the name of the input in calls by keyword
    weight: torch.Tensor
    bias: Any  # a tensor or None, which PyTorch's Linear and convolutions declare differently
    sign: int  # -1 where the integers are magnitudes of weights that are not positive, else 1
    input_multiplier: Any  # of the inputs' channels, [C], or None; weights' integers stand for their quotients by it
    input_gamma: torch.Tensor  # float32, one value; NaN before calibration
    weight_codes: Any  # [N, P, G, V]; as scales and gamma, None unless the layer is frozen
    weight_scales: Any  # [N, P, G]; None too for the single level
    weight_gamma: Any  # [N, 1, 1], or one value where the tensor shares it

    def __init__(self, layer: Any, scheme: Scheme, name: str = "layer", sign: int = 0) -> None:
        take_over(self, layer)
        if not hasattr(self, "bias"):
            self.register_parameter("bias", None)
        if sign:
            scheme = replace(scheme, config=replace(scheme.config, weight=scheme.config.weight.unsigned()))
        self.scheme, self.name, self.sign = scheme, name, sign or 1
        if scheme.bias_correction and self.bias is None:
            self.bias = nn.Parameter(layer.weight.new_zeros(len(self.weight_rows())), layer.weight.requires_grad)
        self.register_forward_pre_hook(_entered, with_kwargs=True)
        self.register_buffer("input_multiplier", None)
        gamma = torch.full((), math.nan, dtype=torch.float32, device=layer.weight.device)
        self.register_buffer("input_gamma", gamma)
        for buffer in ("weight_codes", "weight_scales", "weight_gamma"):
            self.register_buffer(buffer, None)
        self._kept_values: Cache[torch.Tensor] = Cache()
        self._kept_operand: Cache[Arranged] = Cache()
        self._products = RoundedProducts(self.scheme.config) if self.scheme.config.scale_shift else None

    def __init_subclass__(cls) -> None:
        cls._argument = [*signature(cls.forward).parameters][1]

    # The layer's geometry -------------------------------------------------------------------------------------

    @abstractmethod
    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows [M * G, P, C] that the weights are multiplied with, in float32."""

    @abstractmethod
    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return products [M, N] in the shape and type of the layer's output for the input ``x``."""

    @abstractmethod
    def weight_rows(self) -> torch.Tensor:
        """Return the weights as [N, P, C], in float32."""

    @property
    def channels(self) -> tuple[int, int] | None:
        """The axis of an input's channels and their number, which are checked before anything is computed, or None."""
        return None

    def magnitudes(self) -> torch.Tensor:
        """Return what the weights' integers stand for: ``weight_rows() * sign`` as the quantizer takes it."""
        rows = self.weight_rows()
        rows = self.grouped(rows if self.input_multiplier is None else rows / self.input_multiplier)
        return rows if self.scheme.weights.element.signed else (rows * self.sign).clamp(min=0)

    def smoothed(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the layer computes with, given its input: products with the multiplier, if there is one."""
        if self.input_multiplier is None:
            return x
        if x.is_nested:
            parts = [self.smoothed(part) for part in x.unbind()]
            return torch.nested.as_nested_tensor(parts, layout=x.layout)
        smoothed: torch.Tensor = x * self.input_multiplier.to(x.dtype)
        return smoothed

    # Quantization ---------------------------------------------------------------------------------------------

    def quantized_weights(self) -> Quantized[torch.Tensor]:
        """Return the weights' integers: the frozen ones, or those of the weights as they are now."""
        rows = self.magnitudes()
        if self.weight_codes is not None:
            element, scale = self.scheme.weights.element, self.scheme.weights.scale
            return Quantized(
                codes=self.weight_codes.to(element.dtype(torch)),
                scales=None if scale is None else self.weight_scales.to(scale.dtype(torch)),
                gamma=self.weight_gamma,
                length=rows.shape[-1],
                format=self.weight_format(self.weight_gamma),
                xp=torch,
            )
        by = mmse.quantize if self.scheme.weight_scales == WeightScales.MMSE else pytorch.quantize
        return by(self.scheme.weights, rows, name=f"{self.name}.weight")

    def quantized_inputs(self, rows: torch.Tensor) -> Quantized[torch.Tensor]:
        """Return the integers of rows; an InputError names one that has none, or says that calibration is missing."""
        gamma = self.input_gamma if self.scheme.calibrated else None
        return pytorch.quantize(self.scheme.inputs, self.grouped(rows), gamma=gamma, name=f"inputs of {self.name}")

    def weight_format(self, gamma: Any) -> TensorFormat:
        """Return the format of frozen weights with ``gamma``, of which a folded BatchNorm makes one a channel."""
        form = self.scheme.weights.format
        by_channel = form.granularity == Granularity.TENSOR and math.prod(gamma.shape) > 1
        return replace(form, granularity=Granularity.CHANNEL) if by_channel else form

    @torch.no_grad()
    def freeze(self, weights: Quantized[torch.Tensor] | None = None) -> None:
        """Keep the weights' integers from now on: those given, else those of the weights as they are now."""
        weights = weights or self.quantized_weights()
        form = self.scheme.weights
        self.weight_codes = weights.codes.to(_narrowest(form.element.qmax))
        if form.scale is not None and weights.scales is not None:
            self.weight_scales = weights.scales.to(_narrowest(form.scale.max))
        self.weight_gamma = weights.gamma

    # The forward pass -----------------------------------------------------------------------------------------

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # PyTorch's name, for calls by keyword
        """Return the layer's output, in the type of ``input``, also under autocast."""
        with torch.autocast(input.device.type, enabled=False):
            if self._products is None or not input.numel():
                return self.simulated(input)
            y = self.output(self._rounded(self.rows(input), self._products), input)
            if not with_gradients():
                return y
            return straight_through(self.simulated(input), y).clone()  # what follows may change it in place

    def simulated(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output without rounded scale products."""
        rows, weights = self.rows(x), self.real_weights()
        real = self.real_inputs(self.grouped(rows))
        bias = None if self.bias is None else self.bias.float()
        return self.output(self._product(real.flatten(1), weights.flatten(1), bias), x)

    def real_inputs(self, values: torch.Tensor) -> torch.Tensor:
        """Return x^ of inputs, float32 with vectors along the last axis, and with the inputs' gradient."""
        if not values.numel():
            return values
        gamma = self.input_gamma if self.scheme.calibrated else None
        return straight_through(
            values, pytorch.dequantized(self.scheme.inputs, values, gamma=gamma, name=f"inputs of {self.name}")
        )

    def real_weights(self) -> torch.Tensor:
        """Return W^, [N, P, C] with the weights' gradient; float32 scales make it [N, P * G, V]."""
        if self.weight_codes is not None:
            return self._kept_values.get(self._frozen(), lambda: self.arranged(self.quantized_weights().dequantize()))
        rows, name = self.magnitudes(), f"{self.name}.weight"
        if self.scheme.weight_scales == WeightScales.MAX:
            values = pytorch.dequantized(self.scheme.weights, rows, name=name)
        else:
            values = self.quantized_weights().dequantize()
        return self.arranged(straight_through(rows, values))

    def _frozen(self) -> list[torch.Tensor]:
        return [self.weight_codes, self.weight_scales, self.weight_gamma]

    def arranged(self, values: torch.Tensor) -> torch.Tensor:
        """Return W^ of what the weights' integers stand for, in the memory layout that :meth:`simulated` needs."""
        return -values if self.sign < 0 else values

    @torch.no_grad()
    def _rounded(self, rows: torch.Tensor, products: RoundedProducts) -> torch.Tensor:
        """Return the products with rounded scale products, [M, N], in float64: exact up to gammas and bias."""
        inputs = self.quantized_inputs(rows)
        if self.weight_codes is None:
            weights = self.quantized_weights()
            operand, weight_gamma = products.arranged(weights.operand(), self.groups), weights.gamma
        else:
            operand = self._kept_operand.get(
                self._frozen(), lambda: products.arranged(self.quantized_weights().operand(), self.groups)
            )
            weight_gamma = self.weight_gamma
        acc = products(operand, inputs.operand())
        gamma = inputs.gamma.double().flatten()
        unit = accumulator_unit(self.scheme.config, weight_gamma, self.sign, torch)
        y: torch.Tensor = acc * (unit * self._of_outputs(gamma, acc.shape[1]))
        return y if self.bias is None else y.add_(self.bias.double())

    def _product(self, rows: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        """Return rows [M * G, K] times the weights [N, K] of their group, [M, N]."""
        if self.groups == 1:
            return functional.linear(rows, weights, bias)
        parts = rows.reshape(-1, self.groups, rows.shape[1]), weights.reshape(self.groups, -1, weights.shape[1])
        y = torch.einsum("mgk,gnk->mgn", *parts).flatten(1)
        return y if bias is None else y + bias

    def _of_outputs(self, values: torch.Tensor, count: int) -> torch.Tensor:
        """Return what rows [M * G] have for each of ``count`` outputs, [M, N]; [M, 1] without groups, [1, 1] of one."""
        if self.groups == 1 or len(values) == 1:
            return values[:, None]
        return values.reshape(-1, self.groups).repeat_interleave(count // self.groups, dim=1)

    def grouped(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows as the quantizers take them; for float32 scales each vector is a row of its own."""
        return self.scheme.inputs.split(rows, torch).flatten(1, 2) if self.scheme.float_scales else rows

    def get_extra_state(self) -> torch.Tensor:
        """Return the layer's configuration, for ``state_dict``."""
        return state.encoded(self.scheme, self.sign, self.weight_codes is not None)

    def set_extra_state(self, _state: Any) -> None:
        """Do nothing: the configuration is compared before anything is loaded."""

    def _load_from_state_dict(self, tensors: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Load tensors; an InputError says that they are of another configuration."""
        state.check(self.get_extra_state(), tensors, prefix)
        self.make_room(tensors, prefix)
        super()._load_from_state_dict(tensors, prefix, *rest)

    def make_room(self, tensors: Mapping[str, Any], prefix: str) -> None:
        """Give the buffers that calibration and folding shape the shapes of those in a state."""
        given, device = tensors.get(f"{prefix}input_multiplier"), self.input_gamma.device
        self.input_multiplier = None if given is None else torch.empty_like(given, device=device)
        gamma = tensors.get(f"{prefix}weight_gamma")
        if gamma is not None and self.weight_gamma is not None:
            shape = self.weight_format(gamma).gamma_shape(self.weight_codes.shape[:-1])
            if self.weight_gamma.shape != shape:
                self.weight_gamma = self.weight_gamma.new_empty(shape)

    def extra_repr(self) -> str:
        """Return the float layer's attributes, and the configuration."""
        return f"{super().extra_repr()}, {self.scheme}"


def _entered(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Check and smooth an input; a hook also keeps nn.TransformerEncoderLayer from giving its kernel float weights."""
    x = args[0] if args else kwargs.get(layer._argument)
    if not isinstance(x, torch.Tensor):
        raise InputError(f"inputs of {layer.name}: of type {type(x).__name__}; give a tensor")
    if not x.is_floating_point():
        raise InputError(f"inputs of {layer.name}: of type {x.dtype}; give real numbers, as by input.float()")
    if layer.channels is not None and not x.is_nested:
        axis, size = layer.channels
        if x.ndim < -axis or x.shape[axis] != size:
            rule = f"has not the layer's {size} channels along axis {axis}; give these"
            raise InputError(f"inputs of {layer.name}: shape {tuple(x.shape)} {rule}")
    if layer.input_multiplier is None:
        return None
    x = layer.smoothed(x)
    return ((x, *args[1:]), kwargs) if args else ((), kwargs | {layer._argument: x})


def _narrowest(largest: int) -> torch.dtype:
    """Return the narrowest signed integer type that holds ``largest``."""
    return next(
        kind for kind in (torch.int8, torch.int16, torch.int32, torch.int64) if torch.iinfo(kind).max >= largest
    )
