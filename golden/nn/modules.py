"""Linear and convolution layers that compute with quantized weights and inputs, and can be trained with them.

    y = x^ W^T + bias          x^, W^: quantized, as float32;  gradients pass straight through to x and W

A layer sees its inputs as M rows of P window positions with C channels each, and its weights as [N, P, C]; vectors run
along the channels. A Linear has P = 1. A convolution of one channel runs its vectors along the window instead, so that
a vector is not one element and padding.

Where the configuration rounds scale products, the forward pass computes with the rounded ones:

    y = (sum_g d_g * r_g) * 2^s * gamma_w * gamma_x + bias

Source: VS-Quant (Dai et al., MLSys 2021), sections 3 to 5; Bengio et al. (arXiv 1308.3432) for the gradients.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from vsq.golden.model.datapath import accumulator_unit, scale_factor
from vsq.golden.nn import mmse
from vsq.golden.nn.scheme import Scheme, WeightScales
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.tensor import Quantized


class QuantizedLayer(nn.Module):
    """The base of the quantized layers. Each is a subclass of its float layer too, with all its attributes.

    Weights are quantized anew in each call, for training, until :meth:`freeze` keeps their integers.

    Args:
        layer: The float layer, whose parameters are shared.
        name: What error messages call the layer.
        sign: Of all weights, whose integers are then unsigned magnitudes: 1 or -1; 0 for weights of both signs.
    """

    GEOMETRY: ClassVar[tuple[str, ...]]  # arguments that make a float layer of the same shape
    weight: torch.Tensor
    bias: Any  # a tensor or None, which PyTorch's Linear and convolutions declare differently
    sign: int  # -1 where the integers are magnitudes of weights that are not positive, else 1
    input_gamma: torch.Tensor  # float32, one value; NaN before calibration
    weight_codes: Any  # [N, P, G, V]; as scales and gamma, None unless the layer is frozen
    weight_scales: Any  # [N, P, G]; None too for the single level
    weight_gamma: Any  # [N, 1, 1]

    def __init__(self, layer: Any, scheme: Scheme, name: str = "layer", sign: int = 0) -> None:
        geometry = {argument: getattr(layer, argument) for argument in self.GEOMETRY}
        super().__init__(**geometry, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        if sign:
            scheme = replace(scheme, config=replace(scheme.config, weight=scheme.config.weight.unsigned()))
        self.scheme, self.name, self.sign = scheme, name, sign or 1
        self.train(layer.training)
        self.register_forward_pre_hook(_seen)
        self.register_buffer("input_gamma", torch.full((), math.nan, device=layer.weight.device))
        for buffer in ("weight_codes", "weight_scales", "weight_gamma"):
            self.register_buffer(buffer, None)

    # The layer's geometry -------------------------------------------------------------------------------------

    @abstractmethod
    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows [M, P, C] that the weights are multiplied with, in float32."""

    @abstractmethod
    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return products [M, N] in the shape and type of the layer's output for the input ``x``."""

    @abstractmethod
    def weight_rows(self) -> torch.Tensor:
        """Return the weights as [N, P, C], in float32."""

    def magnitudes(self) -> torch.Tensor:
        """Return what the weights' integers stand for: ``weight_rows() * sign`` as the quantizer takes it."""
        rows = self.grouped(self.weight_rows())
        return rows if self.scheme.weights.element.signed else (rows * self.sign).clamp(min=0)

    # Quantization ---------------------------------------------------------------------------------------------

    def quantized_weights(self) -> Quantized[torch.Tensor]:
        """Return the weights' integers: the frozen ones, or those of the weights as they are now."""
        rows = self.magnitudes()
        if self.weight_codes is not None:
            return Quantized(
                codes=self.weight_codes.int(),
                scales=None if self.weight_scales is None else self.weight_scales.int(),
                gamma=self.weight_gamma,
                length=rows.shape[-1],
                format=self.scheme.weights.format,
                xp=torch,
            )
        by = mmse.quantize if self.scheme.weight_scales == WeightScales.MMSE else pytorch.quantize
        return by(self.scheme.weights, rows, name=f"{self.name}.weight")

    def quantized_inputs(self, rows: torch.Tensor) -> Quantized[torch.Tensor]:
        """Return the integers of rows [M, P, C]; an InputError names one that has none, or a missing calibration."""
        gamma = self.input_gamma if self.scheme.calibrated else None
        return pytorch.quantize(self.scheme.inputs, self.grouped(rows), gamma=gamma, name=f"inputs of {self.name}")

    @torch.no_grad()
    def freeze(self, weights: Quantized[torch.Tensor] | None = None) -> None:
        """Keep the weights' integers from now on: those given, else those of the weights as they are now."""
        weights = weights or self.quantized_weights()
        form = self.scheme.weights
        self.weight_codes = weights.codes.to(_narrowest(form.element.qmax))
        if form.scale is not None and weights.scales is not None:
            self.weight_scales = weights.scales.to(_narrowest(form.scale.max))
        self.weight_gamma = weights.gamma

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, in the type of ``x``, also under autocast.

        Operands keep their padding up to whole vectors: in C++ of ``torch.compile`` slices of them would be garbage
        (``docs/quantizer.md``).
        """
        with torch.autocast(x.device.type, enabled=False):
            rows = self.rows(x)
            weights, inputs, split = self.quantized_weights(), self.quantized_inputs(rows), self.scheme.inputs.split
            w = weights.vectors()
            if self.weight_codes is None:
                w = _straight_through(split(self.magnitudes(), torch), w)
            if self.sign < 0:
                w = -w
            real = _straight_through(split(self.grouped(rows), torch), inputs.vectors())
            bias = None if self.bias is None else self.bias.float()
            y = functional.linear(real.flatten(1), w.flatten(1), bias)
            if self.scheme.config.scale_shift:
                y = _straight_through(y, self._rounded(weights, inputs).to(y.dtype))
            return self.output(y, x)

    @torch.no_grad()
    def _rounded(self, weights: Quantized[torch.Tensor], inputs: Quantized[torch.Tensor]) -> torch.Tensor:
        """Return the products with rounded scale products, [M, N], in float64: exact up to gammas and bias."""
        config = self.scheme.config
        (w, sw), (a, sa) = weights.operand(), inputs.operand()
        acc = torch.zeros(len(a), len(w), dtype=torch.float64, device=a.device)
        kind = torch.int32 if config.full_product_bits < 31 else torch.int64  # scale products and their rounding fit it
        for g in range(w.shape[1]):
            wide = 1 if sw is None else sw[None, :, g].to(kind)
            tall = 1 if sa is None else sa[:, None, g].to(kind)
            factor = scale_factor(config, wide, tall)[1]
            acc += (a[:, g].double() @ w[:, g].double().T).mul_(factor)
        y: torch.Tensor = self.sign * acc * accumulator_unit(config, weights.gamma, inputs.gamma, torch)
        return y if self.bias is None else y + self.bias.double()

    def grouped(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows as the quantizers take them; for float32 scales each vector is a row of its own."""
        return self.scheme.inputs.split(rows, torch).flatten(1, 2) if self.scheme.float_scales else rows

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
        """Move the layer to another device or type; gammas stay float32."""
        gammas = {"input_gamma": self.input_gamma, "weight_gamma": self.weight_gamma}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # PyTorch leaves it untyped
        for name, gamma in gammas.items():
            if gamma is not None:
                setattr(self, name, gamma.to(getattr(self, name).device))
        return self

    def extra_repr(self) -> str:
        """Return the float layer's attributes, and the configuration."""
        return f"{super().extra_repr()}, {self.scheme}"


class QuantizedLinear(QuantizedLayer, nn.Linear):
    """A quantized Linear: rows are tokens, [M, 1, K]. It takes nested tensors, as nn.TransformerEncoder passes them."""

    GEOMETRY = ("in_features", "out_features")

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return [M, 1, K]."""
        values = torch.cat([part.flatten(0, -2) for part in x.unbind()]) if x.is_nested else x
        return values.float().reshape(-1, 1, self.in_features)

    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return [..., N]."""
        if x.is_nested:
            parts = x.unbind()
            found = torch.split(y, [part.numel() // self.in_features for part in parts])
            return torch.nested.as_nested_tensor(
                [self.output(*pair) for pair in zip(found, parts, strict=True)], layout=x.layout
            )
        return y.reshape(*x.shape[:-1], -1).to(x.dtype)

    def weight_rows(self) -> torch.Tensor:
        """Return [N, 1, K]."""
        return self.weight.float()[:, None]


class _QuantizedConv(QuantizedLayer):
    """The base of the quantized convolutions, which have one group."""

    GEOMETRY = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "padding_mode")
    in_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding_mode: Any  # PyTorch's list of names
    _reversed_padding_repeated_twice: list[int]

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return the windows, [M, P, C]: M counts batch and output positions, in row-major order."""
        maps = self._batched(x).float()
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padded = functional.pad(maps, self._reversed_padding_repeated_twice, mode=mode)
        kernel, stride, dilation = self.kernel_size, self.stride, self.dilation
        if len(kernel) == 1:  # unfold knows planes only
            padded = padded[:, :, None]
            kernel, stride, dilation = (1, *kernel), (1, *stride), (1, *dilation)
        columns = functional.unfold(padded, kernel, dilation=dilation, stride=stride)  # [B, C * P, L]
        windows = columns.reshape(len(maps), self.in_channels, -1, columns.shape[2]).permute(0, 3, 2, 1).flatten(0, 1)
        return _along_window(windows)

    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return [B, N, ...], or without the batch axis if the input has none."""
        maps = self._batched(x)
        before, after = self._reversed_padding_repeated_twice[::-2], self._reversed_padding_repeated_twice[-2::-2]
        sizes = [
            (size + left + right - dilation * (kernel - 1) - 1) // stride + 1
            for size, left, right, dilation, kernel, stride in zip(
                maps.shape[2:], before, after, self.dilation, self.kernel_size, self.stride, strict=True
            )
        ]
        out = y.reshape(len(maps), *sizes, -1).movedim(-1, 1).to(x.dtype)
        return out if maps is x else out[0]

    def weight_rows(self) -> torch.Tensor:
        """Return [N, P, C]."""
        return _along_window(self.weight.float().flatten(2).transpose(1, 2))

    def _batched(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.ndim == len(self.kernel_size) + 2 else x[None]


class QuantizedConv1d(_QuantizedConv, nn.Conv1d):
    """A quantized Conv1d."""


class QuantizedConv2d(_QuantizedConv, nn.Conv2d):
    """A quantized Conv2d."""


def _seen(_module: nn.Module, _inputs: Any) -> None:
    """Do nothing: a hook keeps nn.TransformerEncoderLayer from handing float weights to its fused kernel."""


def _along_window(rows: torch.Tensor) -> torch.Tensor:
    """Return [M, P, C], or [M, 1, P] for a single channel."""
    return rows.transpose(1, 2) if rows.shape[2] == 1 else rows


def _narrowest(largest: int) -> torch.dtype:
    """Return the narrowest signed integer type that holds ``largest``."""
    return next(kind for kind in (torch.int8, torch.int16, torch.int32) if torch.iinfo(kind).max >= largest)


class _StraightThrough(torch.autograd.Function):
    """The second argument's values with the first one's gradient."""

    @staticmethod
    def forward(_ctx: Any, _x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(_ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0], None


def _straight_through(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return exactly ``values``, as if they were ``x`` to the gradient."""
    result: torch.Tensor = _StraightThrough.apply(x, values)  # type: ignore[no-untyped-call]  # PyTorch leaves it so
    return result
