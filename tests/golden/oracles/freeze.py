"""Make the frozen integers that ``test_quantizer_oracles.py`` compares with, by independent quantizers.

    python -m venv oracle && oracle/bin/pip install torch==2.13.0 brevitas==0.13.4 torchao==0.18.0
    oracle/bin/python tests/golden/oracles/freeze.py

Nothing of this project is imported. Inputs are integers that stand for ``x = input / 1024``, exact in float32, so that
ties really occur. Each file holds for every case NAME.x, NAME.codes and, with two levels, NAME.scales, and ``about``:
the cases' parameters and the versions of the tools, as JSON.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from brevitas.core.bit_width import BitWidthConst
from brevitas.core.function_wrapper import Identity
from brevitas.core.quant import IntQuant, RescalingIntQuant
from brevitas.core.restrict_val import QuantRestrictValue
from brevitas.core.scaling import IntScaling
from brevitas.core.scaling.runtime import RuntimeDynamicGroupStatsScaling
from brevitas.core.stats import AbsMax
from brevitas.core.zero_point import ZeroZeroPoint
from torchao.quantization.quant_primitives import MappingType, choose_qparams_affine, quantize_affine

HERE = Path(__file__).parent

# name: element, scale bits, V, granularity of gamma, shape of x
TWO_LEVELS = {
    "w4_s4": ("4", 4, 16, "channel", (8, 64)),
    "w4_s6_tail": ("4", 6, 16, "channel", (8, 52)),
    "w3_s4": ("3", 4, 16, "channel", (8, 64)),
    "w6_s4_v24": ("6", 4, 24, "channel", (8, 72)),
    "w8_s8_v64": ("8", 8, 64, "channel", (4, 160)),
    "w5_s3_v3": ("5", 3, 3, "channel", (8, 48)),
    "w4_s4_conv": ("4", 4, 16, "channel", (4, 3, 3, 20)),
    "w16_s16_v3": ("16", 16, 3, "channel", (4, 24)),
    "a4u_s6": ("4U", 6, 16, "tensor", (16, 64)),
    "a3u_s4": ("3U", 4, 16, "tensor", (16, 64)),
    "a8_s10": ("8", 10, 16, "tensor", (16, 64)),
    "a8_s10_token": ("8", 10, 16, "token", (2, 6, 48)),
    "ties_w4_s4": ("4", 4, 16, "channel", (8, 64)),
    "ties_w6_s3": ("6", 3, 16, "channel", (8, 64)),
    "ties_a4u_s4": ("4U", 4, 16, "tensor", (16, 64)),
}
# name: element, granularity, shape of x
ONE_LEVEL = {
    "w8": ("8", "channel", (8, 64)),
    "w4": ("4", "channel", (8, 64)),
    "w3": ("3", "channel", (8, 48)),
    "w6_conv": ("6", "channel", (4, 3, 3, 20)),
    "a8": ("8", "tensor", (16, 64)),
    "a8u": ("8U", "tensor", (16, 64)),
    "a4u": ("4U", "tensor", (16, 64)),
    "a8_token": ("8", "token", (2, 6, 48)),
    "ties_w4": ("4", "channel", (8, 64)),
    "ties_a8u": ("8U", "tensor", (16, 64)),
    "ties_by_98_w5": ("5", "channel", (8, 64)),
}


def element(text):
    """Return bits, signedness and largest code of a format's name."""
    bits, signed = int(text.rstrip("U")), not text.endswith("U")
    return bits, signed, 2 ** (bits - signed) - 1


def inputs(name, shape, most, scale_max, signed):
    """Return integers: Gaussian ones of about 10 bits, or, where the name says so, multiples of half a step.

    For ties every row's largest is ``unit * most * scale_max``, so that gamma is exactly ``unit``, and each vector of
    16 has its largest at a multiple of ``unit / 2``.
    """
    rng = np.random.default_rng(list(name.encode()))
    if name.startswith("ties"):
        unit = 98 if "98" in name else 2
        peaks = rng.integers(unit // 2 + 1, unit * scale_max + 1, (*shape[:-1], shape[-1] // 16, 1)) * most
        peaks[..., 0, :] = unit * scale_max * most
        x = rng.integers(-peaks, peaks + 1, (*peaks.shape[:-1], 16))
        x -= x % (unit // 2)
        x[..., :1] = peaks
        x = x.reshape(shape)
    else:
        x = np.rint(rng.standard_normal(shape) * 400 * rng.uniform(0.5, 4, (*shape[:-1], 1)))
    return (x if signed else np.abs(x)).astype(np.int16)


def brevitas_quantizer(bits, signed, reduce_dim, restrict=None):
    """Compose brevitas' integer quantizer with the absolute maximum over ``reduce_dim`` as its threshold.

    ``restrict`` quantizes the scale itself (brevitas' scale of scale).
    """
    return RescalingIntQuant(
        IntQuant(narrow_range=signed, signed=signed, input_view_impl=Identity()),
        RuntimeDynamicGroupStatsScaling(
            group_size=1,
            group_dim=0,
            input_view_impl=Identity(),
            scaling_stats_impl=AbsMax(reduce_dim, keepdim=reduce_dim is not None),
            scaling_min_val=None,
            restrict_scale_threshold_impl=restrict,
        ),
        IntScaling(narrow_range=signed, signed=signed),
        ZeroZeroPoint(),
        BitWidthConst(bits),
    )


def two_levels(x, element_name, scale_bits, size, granularity):
    """Return brevitas' codes [..., G, V] and scale codes [..., G]."""
    bits, signed, _ = element(element_name)
    groups = -(-x.shape[-1] // size)
    padded = np.zeros((*x.shape[:-1], groups * size), np.float32)
    padded[..., : x.shape[-1]] = x
    lead = {"channel": x.shape[0], "token": int(np.prod(x.shape[:-1])), "tensor": 1}[granularity]
    vectors = torch.tensor(padded).reshape(lead, -1, size)

    seen = {}
    outer = brevitas_quantizer(scale_bits, False, 1)
    outer.register_forward_hook(lambda _module, arguments, result: seen.update(s=arguments[0], gamma=result[1]))
    inner = brevitas_quantizer(bits, signed, 2, QuantRestrictValue(outer, (lead, 1, 1), None))
    _, scale, zero, width = inner(vectors)
    codes = inner.int_quant.to_int(scale, zero, width, vectors)
    scales = outer.int_quant.to_int(seen["gamma"], zero, torch.tensor(float(scale_bits)), seen["s"])
    assert scales.min() > 0, "brevitas divides by a scale of zero"
    shape = (*x.shape[:-1], groups)
    return codes.reshape(*shape, size).detach().numpy(), scales.reshape(shape).detach().numpy()


def one_level(x, element_name, granularity):
    """Return torchao's codes, in the shape of x."""
    _, signed, most = element(element_name)
    block = {
        "channel": (1, *x.shape[1:]),
        "token": (*[1] * (x.ndim - 1), x.shape[-1]),
        "tensor": x.shape,
    }[granularity]
    bounds = {"quant_min": -most if signed else 0, "quant_max": most}
    mapping = MappingType.SYMMETRIC if signed else MappingType.ASYMMETRIC  # zero-point 0 for data from 0 upwards
    tensor = torch.tensor(x)
    scale, zero = choose_qparams_affine(tensor, mapping, block, torch.int32, **bounds)
    assert not zero.any()
    return quantize_affine(tensor, block, scale, zero, torch.int32, **bounds).numpy()


def write(path, tools, cases, arrays):
    """Write one file of frozen integers."""
    about = {"tools": {tool: version(tool) for tool in (*tools, "torch", "numpy")}, "cases": cases}
    np.savez_compressed(path, about=json.dumps(about, indent=1), **arrays)
    print(f"{path.name}: {len(cases)} cases, {path.stat().st_size} bytes, {about['tools']}")


def main():
    """Write both files."""
    arrays, cases = {}, {}
    for name, (fmt, scale_bits, size, granularity, shape) in TWO_LEVELS.items():
        _, signed, most = element(fmt)
        x = inputs(name, shape, most, 2**scale_bits - 1, signed)
        codes, scales = two_levels(x / np.float32(1024), fmt, scale_bits, size, granularity)
        arrays |= {f"{name}.x": x, f"{name}.codes": codes.astype(np.int32), f"{name}.scales": scales.astype(np.int32)}
        cases[name] = {"element": fmt, "scale_bits": scale_bits, "vector_size": size, "granularity": granularity}
    write(HERE / "brevitas.npz", ["brevitas"], cases, arrays)

    arrays, cases = {}, {}
    for name, (fmt, granularity, shape) in ONE_LEVEL.items():
        _, signed, most = element(fmt)
        x = inputs(name, shape, most, 1, signed)
        arrays |= {f"{name}.x": x, f"{name}.codes": one_level(x / np.float32(1024), fmt, granularity)}
        cases[name] = {"element": fmt, "granularity": granularity}
    write(HERE / "torchao.npz", ["torchao"], cases, arrays)


if __name__ == "__main__":
    main()
