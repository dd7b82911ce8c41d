"""Other libraries' quantizers of tensors, run as their users call them."""

import importlib
from collections.abc import Callable
from typing import Any

import torch

SIZE, VECTOR = 4096, 16

Work = Callable[[torch.Tensor], Any]


def brevitas_two_levels() -> Work:
    """Return brevitas' integer quantizer whose scales are quantized by another one."""
    (bit_width,) = take("brevitas.core.bit_width", "BitWidthConst")
    (identity,) = take("brevitas.core.function_wrapper", "Identity")
    integer, rescaling = take("brevitas.core.quant", "IntQuant", "RescalingIntQuant")
    (restricted,) = take("brevitas.core.restrict_val", "QuantRestrictValue")
    (int_scaling,) = take("brevitas.core.scaling", "IntScaling")
    (group_scaling,) = take("brevitas.core.scaling.runtime", "RuntimeDynamicGroupStatsScaling")
    (absolute_maximum,) = take("brevitas.core.stats", "AbsMax")
    (zero_point,) = take("brevitas.core.zero_point", "ZeroZeroPoint")

    def quantizer(bits: int, signed: bool, axis: int, restrict: Any = None) -> Any:
        return rescaling(
            integer(narrow_range=signed, signed=signed, input_view_impl=identity()),
            group_scaling(
                group_size=1,
                group_dim=0,
                input_view_impl=identity(),
                scaling_stats_impl=absolute_maximum(axis, keepdim=True),
                scaling_min_val=None,
                restrict_scale_threshold_impl=restrict,
            ),
            int_scaling(narrow_range=signed, signed=signed),
            zero_point(),
            bit_width(bits),
        )

    outer = quantizer(4, False, 1)
    inner = quantizer(4, True, 2, restricted(outer, (SIZE, 1, 1), None))
    return lambda x: inner(x.reshape(SIZE, -1, VECTOR))


def torchao_blocks() -> Work:
    """Return torchao's integer quantizer, one float32 scale for each block."""
    mapping, choose, apply = take(
        "torchao.quantization.quant_primitives", "MappingType", "choose_qparams_affine", "quantize_affine"
    )
    bounds = {"quant_min": -7, "quant_max": 7}

    def work(x: torch.Tensor) -> Any:
        block = (1, VECTOR)
        scale, zero = choose(x, mapping.SYMMETRIC, block, torch.int8, **bounds)
        return apply(x, block, scale, zero, torch.int8, **bounds), scale

    return work


def torchao_mx() -> Work:
    """Return torchao's MXFP4: E2M1 elements, one E8M0 scale for each block (microxcaling's format)."""
    (to_mx,) = take("torchao.prototype.mx_formats.mx_tensor", "to_mx")
    return lambda x: to_mx(x, torch.float4_e2m1fn_x2, 32)


def torchao_nvfp4() -> Work:
    """Return torchao's NVFP4: E2M1 elements, one E4M3 scale for each block and a float32 one for the tensor."""
    names = ("nvfp4_quantize", "per_tensor_amax_to_scale")
    quantize, to_scale = take("torchao.prototype.mx_formats.nvfp4_tensor", *names)
    return lambda x: quantize(x, VECTOR, to_scale(x.abs().amax()))


def modelopt_blocks() -> Work:
    """Return modelopt's 4-bit integer quantizer with a scale for each block, dequantized at once."""
    (attributes,) = take("modelopt.torch.quantization.config", "QuantizerAttributeConfig")
    (quantizer,) = take("modelopt.torch.quantization.nn", "TensorQuantizer")
    work: Work = quantizer(attributes(num_bits=4, block_sizes={-1: VECTOR}))
    return work


def take(module: str, *names: str) -> tuple[Any, ...]:
    """Return what a module of a package that need not be installed calls by these names."""
    return tuple(getattr(importlib.import_module(module), name) for name in names)


OTHERS: dict[str, Callable[[], Work]] = {
    "brevitas, two levels": brevitas_two_levels,
    "torchao, INT4 blocks": torchao_blocks,
    "torchao, MXFP4": torchao_mx,
    "torchao, NVFP4, two levels": torchao_nvfp4,
    "modelopt, INT4 blocks": modelopt_blocks,
}
