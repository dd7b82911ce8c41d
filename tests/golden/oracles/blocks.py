"""Block formats by independent quantizers: torchao, modelopt, compressed-tensors and gfloat.

Each function takes float32 rows [R, K] and returns scales [R, K / V] and elements [R, K], both as real values, elements
without their scales. Nothing of this project is imported.
"""

import gfloat.block
import gfloat.formats
import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils.helpers import calculate_qparams, generate_gparam
from modelopt.torch.quantization.qtensor.nvfp4_tensor import NVFP4QTensor
from torchao.prototype.mx_formats.config import ScaleCalculationMode
from torchao.prototype.mx_formats.constants import DTYPE_FP6_E2M3, DTYPE_FP6_E3M2
from torchao.prototype.mx_formats.kernels import (
    f4_unpacked_to_f32,
    f6_e2m3_unpacked_to_f32,
    f6_e3m2_unpacked_to_f32,
    unpack_uint4,
)
from torchao.prototype.mx_formats.mx_tensor import to_mx
from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize, per_tensor_amax_to_scale

NV, MX = 16, 32  # elements in a block
_RULES = {
    "floor": ScaleCalculationMode.FLOOR,
    "ceil": ScaleCalculationMode.RCEIL,
    "even": ScaleCalculationMode.EVEN,
}
_TORCHAO = {
    "e2m1": (torch.float4_e2m1fn_x2, lambda codes: f4_unpacked_to_f32(unpack_uint4(codes))),
    "e2m3": (DTYPE_FP6_E2M3, f6_e2m3_unpacked_to_f32),
    "e3m2": (DTYPE_FP6_E3M2, f6_e3m2_unpacked_to_f32),
    "e4m3": (torch.float8_e4m3fn, torch.Tensor.float),
    "e5m2": (torch.float8_e5m2, torch.Tensor.float),
}
_GFLOAT = {
    "e2m1": gfloat.formats.format_info_mxfp4_e2m1,
    "e2m3": gfloat.formats.format_info_mxfp6_e2m3,
    "e3m2": gfloat.formats.format_info_mxfp6_e3m2,
    "e4m3": gfloat.formats.format_info_mxfp8_e4m3,
    "e5m2": gfloat.formats.format_info_mxfp8_e5m2,
    "8": gfloat.formats.format_info_mxint8,
}


def torchao_nvfp4(x):
    """Elements are products with a reciprocal; the least scale is 2^-6, that of zero too."""
    tensor = torch.from_numpy(x)
    scales, packed = nvfp4_quantize(tensor, NV, per_tensor_amax_to_scale(tensor.abs().max()))
    return scales.double().numpy(), f4_unpacked_to_f32(unpack_uint4(packed)).double().numpy()


def modelopt_nvfp4(x):
    """Scales are amax / (6 * s2), at least 2^-9, and 1 of zeros; elements are x / (scale * s2)."""
    quantized, scales, _ = NVFP4QTensor.quantize(torch.from_numpy(x).clone(), NV)
    packed = quantized._quantized_data
    codes = torch.stack([packed & 15, packed >> 4], dim=-1).flatten(-2)
    return scales.double().numpy(), f4_unpacked_to_f32(codes).double().numpy()


def compressed_tensors_nvfp4(x):
    """The tensor's scale is 6 * 448 / amax, by which scales are multiplied and divided."""
    tensor = torch.from_numpy(x)
    arguments = QuantizationArgs(
        num_bits=4,
        type="float",
        strategy="tensor_group",
        symmetric=True,
        group_size=NV,
        scale_dtype=torch.float8_e4m3fn,
    )
    high = tensor.abs().reshape(len(x), -1, NV).amax(dim=-1)
    overall = generate_gparam(tensor.min(), tensor.max())
    scales, zeros = calculate_qparams(-high, high, arguments, overall)
    values = quantize(tensor, scales, zeros, arguments, global_scale=overall)
    return scales.double().numpy(), values.double().numpy()


def torchao_mx(x, element, rule):
    """Quotients by powers of two; below 2^-126 they differ."""
    kind, decoded = _TORCHAO[element]
    scales, codes = to_mx(torch.from_numpy(x), kind, MX, _RULES[rule])
    exponents = scales.view(torch.uint8).numpy().astype(np.float64)
    return 2.0 ** (exponents - 127), decoded(codes).double().numpy().reshape(x.shape)


def gfloat_mx(x, element):
    """OCP's floor alone, in float64."""
    form = _GFLOAT[element]
    scales, values = [], []
    for vector in x.reshape(-1, MX).astype(np.float64):
        scales.append(gfloat.block.compute_scale_amax(form.etype.emax, vector))
        values.append(gfloat.block.quantize_block(form, vector, gfloat.block.compute_scale_amax) / scales[-1])
    return np.reshape(scales, (len(x), -1)), np.reshape(values, x.shape)
