"""Quantized convolutions of any number of axes, grouped and transposed ones too.

A convolution's rows are its windows, from each of which one pixel of the output is computed. Those of a transposed one
are the windows, a step of 1 apart, of the map stretched by its stride with zeros in between; its kernel is flipped.

Where a group has one channel, as in a depthwise convolution, vectors run along the window instead of along the
channels, so that a vector is not one element and padding.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.layers.base import QuantizedLayer

_CONVOLUTIONS: dict[int, Any] = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


class _QuantizedConv(QuantizedLayer):
    """The base of the quantized convolutions.

    Each has ``stretch``, the distance of its input's pixels in the map under the windows, and ``step``, the windows'.
    """

    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding_mode: Any  # PyTorch's list of names
    _reversed_padding_repeated_twice: list[int]

    @property
    def channels(self) -> tuple[int, int]:
        """The axis before those of a map."""
        return -1 - len(self.kernel_size), self.in_channels

    def paddings(self) -> list[tuple[int, int]]:
        """Return what is added before and after each axis of the stretched map; the negative is cut off."""
        flat = self._reversed_padding_repeated_twice
        return [*zip(flat[-2::-2], flat[::-2], strict=True)]

    @property
    def stretch(self) -> tuple[int, ...]:
        """The distance of the input's pixels."""
        return (1,) * len(self.stride)

    @property
    def step(self) -> tuple[int, ...]:
        """The distance of the windows."""
        return self.stride

    def rows(self, x: torch.Tensor) -> torch.Tensor:
        """Return the windows, [M * G, P, C]: M counts batch and output positions, in row-major order."""
        maps = self._padded(self._batched(x).float())
        windows = maps.reshape(maps.shape[0], self.groups, self.in_channels // self.groups, *maps.shape[2:])
        axes = len(self.kernel_size)
        for axis, (kernel, dilation, step) in enumerate(zip(self.kernel_size, self.dilation, self.step, strict=True)):
            windows = windows.unfold(3 + axis, dilation * (kernel - 1) + 1, step)[..., ::dilation]
        positions, kernel_axes = range(3, 3 + axes), range(3 + axes, 3 + 2 * axes)
        windows = windows.permute(0, *positions, 1, *kernel_axes, 2)  # [B, *outputs, G, *kernel, C]
        return _along_window(windows.flatten(axes + 2, -2).flatten(0, axes + 1))

    def simulated(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output without rounded scale products.

        Where vectors run along the channels and gamma is static, pixels have one quantization in all windows, so that
        the map is quantized once.
        """
        depth, maps = self.in_channels // self.groups, self._batched(x).float()
        if depth == 1 or not self.scheme.calibrated or not maps.numel():
            return super().simulated(x)
        real = self.real_inputs(maps.reshape(maps.shape[0], self.groups, depth, *maps.shape[2:]).movedim(2, -1))
        kernel = self.real_weights().transpose(1, 2)
        kernel = kernel.reshape(*kernel.shape[:2], *self.kernel_size)
        bias = None if self.bias is None else self.bias.float()
        real = real.movedim(-1, 2).flatten(1, 2)
        operands = self._padded(real.contiguous() if maps.is_contiguous() else real), kernel, bias
        y: torch.Tensor = _CONVOLUTIONS[len(self.kernel_size)](*operands, self.step, 0, self.dilation, self.groups)
        y = y.to(x.dtype)
        return y if x.ndim == maps.ndim else y[0]

    def arranged(self, values: torch.Tensor) -> torch.Tensor:
        """Return W^ in the layout of a kernel; another one would be that of the output too."""
        return super().arranged(values).transpose(1, 2).contiguous().transpose(1, 2)

    def output(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Return [B, N, ...], or without the batch axis if the input has none."""
        maps = self._batched(x)
        geometry = zip(
            maps.shape[2:], self.stretch, self.paddings(), self.dilation, self.kernel_size, self.step, strict=True
        )
        sizes = [
            ((size - 1) * stretch + before + after - dilation * (kernel - 1)) // step + 1
            for size, stretch, (before, after), dilation, kernel, step in geometry
        ]
        out = y.reshape(maps.shape[0], *sizes, self.out_channels).movedim(-1, 1).to(x.dtype)
        return out if maps is x else out[0]

    def weight_rows(self) -> torch.Tensor:
        """Return [N, P, C]."""
        return _along_window(self.weight.float().flatten(2).transpose(1, 2))

    def _batched(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.ndim == len(self.kernel_size) + 2 else x[None]

    def _padded(self, maps: torch.Tensor) -> torch.Tensor:
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return functional.pad(maps, [side for sides in reversed(self.paddings()) for side in sides], mode=mode)


class QuantizedConv1d(_QuantizedConv, nn.Conv1d):
    """A quantized Conv1d."""


class QuantizedConv2d(_QuantizedConv, nn.Conv2d):
    """A quantized Conv2d."""


class QuantizedConv3d(_QuantizedConv, nn.Conv3d):
    """A quantized Conv3d."""


class _QuantizedConvTranspose(_QuantizedConv):
    """The base of the transposed ones."""

    padding: Any
    output_padding: Any

    def forward(self, input: torch.Tensor, output_size: Any = None) -> torch.Tensor:
        """Return the layer's output; ``output_size`` raises an InputError."""
        if output_size is not None:
            raise InputError(
                f"layer {self.name!r}: output_size {output_size}: a quantized layer's output_padding is fixed; give it "
                "to the float layer"
            )
        return super().forward(input)

    @property
    def stretch(self) -> tuple[int, ...]:
        """The layer's stride."""
        return self.stride

    @property
    def step(self) -> tuple[int, ...]:
        """One pixel."""
        return (1,) * len(self.stride)

    def paddings(self) -> list[tuple[int, int]]:
        """Return what is left of a kernel's reach by the layer's padding, and the output's padding."""
        reach = [
            dilation * (kernel - 1) - padding
            for dilation, kernel, padding in zip(self.dilation, self.kernel_size, self.padding, strict=True)
        ]
        return [(before, before + extra) for before, extra in zip(reach, self.output_padding, strict=True)]

    def weight_rows(self) -> torch.Tensor:
        """Return [N, P, C], the taps in the reverse order."""
        taps = self.weight.float().flatten(2).flip(2)
        taps = taps.reshape(self.groups, -1, *taps.shape[1:])  # [G, C, N / G, P]
        return _along_window(taps.permute(0, 2, 3, 1).flatten(0, 1))

    def _padded(self, maps: torch.Tensor) -> torch.Tensor:
        sizes = [(size - 1) * stretch + 1 for size, stretch in zip(maps.shape[2:], self.stretch, strict=True)]
        stretched = maps.new_zeros(*maps.shape[:2], *sizes)
        pixels: Any = (..., *(slice(None, None, stretch) for stretch in self.stretch))
        stretched[pixels] = maps
        return super()._padded(stretched)


class QuantizedConvTranspose1d(_QuantizedConvTranspose, nn.ConvTranspose1d):
    """A quantized ConvTranspose1d."""


class QuantizedConvTranspose2d(_QuantizedConvTranspose, nn.ConvTranspose2d):
    """A quantized ConvTranspose2d."""


class QuantizedConvTranspose3d(_QuantizedConvTranspose, nn.ConvTranspose3d):
    """A quantized ConvTranspose3d."""


def _along_window(rows: torch.Tensor) -> torch.Tensor:
    """Return [M, P, C], or [M, 1, P] for a single channel."""
    return rows.transpose(1, 2) if rows.shape[2] == 1 else rows
