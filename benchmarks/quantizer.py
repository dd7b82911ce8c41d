"""Speed of the quantizer on one thread, beside other quantizers in the same run (``make bench-quantizer``).

A 4096 x 4096 float32 tensor becomes 4-bit codes with a scale for each 16 elements. Others run as their users call them;
those that are not installed are named. Times are the process's CPU time, which other load on the machine hardly moves,
the best of several; ratios are to a plain copy of the tensor.

    python -m benchmarks.quantizer [--no-compile]
"""

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.core import Quantizer

SIZE, VECTOR, CONFIG = 4096, 16, "4/4/4/6"
REPEATS = 5

Work = Callable[[torch.Tensor], Any]


def ours() -> Work:
    """Return the two-level quantizer: int8 codes and scales, as others give them, and gammas per channel."""
    quantizer = Quantizer.for_weights(MacConfig.parse(CONFIG, vector_size=VECTOR))

    def work(x: torch.Tensor) -> Any:
        result = pytorch.quantize(quantizer, x)
        return (
            result.codes.to(torch.int8),
            None if result.scales is None else result.scales.to(torch.int8),
            result.gamma,
        )

    return work


def brevitas_two_levels() -> Work:
    """Return brevitas' integer quantizer whose scales are quantized by another one."""
    (bit_width,) = _take("brevitas.core.bit_width", "BitWidthConst")
    (identity,) = _take("brevitas.core.function_wrapper", "Identity")
    integer, rescaling = _take("brevitas.core.quant", "IntQuant", "RescalingIntQuant")
    (restricted,) = _take("brevitas.core.restrict_val", "QuantRestrictValue")
    (int_scaling,) = _take("brevitas.core.scaling", "IntScaling")
    (group_scaling,) = _take("brevitas.core.scaling.runtime", "RuntimeDynamicGroupStatsScaling")
    (absolute_maximum,) = _take("brevitas.core.stats", "AbsMax")
    (zero_point,) = _take("brevitas.core.zero_point", "ZeroZeroPoint")

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
    mapping, choose, apply = _take(
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
    (to_mx,) = _take("torchao.prototype.mx_formats.mx_tensor", "to_mx")
    return lambda x: to_mx(x, torch.float4_e2m1fn_x2, 32)


def torchao_nvfp4() -> Work:
    """Return torchao's NVFP4: E2M1 elements, one E4M3 scale for each block and a float32 one for the tensor."""
    names = ("nvfp4_quantize", "per_tensor_amax_to_scale")
    quantize, to_scale = _take("torchao.prototype.mx_formats.nvfp4_tensor", *names)
    return lambda x: quantize(x, VECTOR, to_scale(x.abs().amax()))


def modelopt_blocks() -> Work:
    """Return modelopt's 4-bit integer quantizer with a scale for each block, dequantized at once."""
    (attributes,) = _take("modelopt.torch.quantization.config", "QuantizerAttributeConfig")
    (quantizer,) = _take("modelopt.torch.quantization.nn", "TensorQuantizer")
    work: Work = quantizer(attributes(num_bits=4, block_sizes={-1: VECTOR}))
    return work


def _take(module: str, *names: str) -> tuple[Any, ...]:
    """Return what a module of a package that need not be installed calls by these names."""
    return tuple(getattr(importlib.import_module(module), name) for name in names)


OTHERS: dict[str, Callable[[], Work]] = {
    "brevitas, two levels": brevitas_two_levels,
    "torchao, INT4 blocks": torchao_blocks,
    "torchao, MXFP4": torchao_mx,
    "torchao, NVFP4, two levels": torchao_nvfp4,
    "modelopt, INT4 blocks": modelopt_blocks,
}


def seconds(work: Work, x: torch.Tensor) -> float:
    """Return the least CPU time of several runs, after one to warm up."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        work(x)
        times.append(time.process_time() - start)
    return min(times[1:])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which needs a C++ compiler")
    compiled = not parser.parse_args().no_compile
    torch.set_num_threads(1)
    x = torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    absent = []
    with torch.no_grad():
        copy = seconds(torch.clone, x)
        mine = {f"vsq {CONFIG}, eager": seconds(ours(), x)}
        if compiled:
            graph = torch.compile(ours(), fullgraph=True)
            if not all(map(torch.equal, graph(x), ours()(x))):
                raise SystemExit("the compiled quantizer's integers differ from the eager one's")
            mine[f"vsq {CONFIG}, compiled"] = seconds(graph, x)
        others = {}
        for name, make in OTHERS.items():
            try:
                others[name] = seconds(make(), x)
            except ImportError as error:
                absent.append(f"{name}: not measured ({error})")
    columns = (Column(name, justify="right") for name in ("ms", "over a copy", "faster than the fastest other"))
    table = Table("one thread, 4096 x 4096 float32", *columns)
    fastest = min(others.values(), default=None)
    for name, spent in {"copy": copy, **mine, **others}.items():
        ratio = "-" if fastest is None else f"{fastest / spent:.2f}x"
        table.add_row(name, f"{spent * 1e3:.0f}", f"{spent / copy:.2f}", ratio)
    console = Console()
    console.print(table, *absent, f"PyTorch {torch.__version__}", sep="\n")


if __name__ == "__main__":
    main()
