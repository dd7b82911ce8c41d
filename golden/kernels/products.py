"""The kernel of rounded scale products as an operator of PyTorch, on CPUs; compiled graphs call it as it is."""

import ctypes

import torch

from vsq.golden.kernels.library import library

LANES = 32  # outputs in a panel of weights, as in products.cpp


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # PyTorch leaves it so
def available() -> bool:
    """Return whether there is the kernel, which is compiled unless it was before."""
    return library("products") is not None


def in_panels(weights: torch.Tensor, groups: int) -> torch.Tensor:
    """Return [groups * N, ...] as panels, [groups, N / LANES, ..., LANES], padded with zeros."""
    rows = weights.reshape(groups, -1, *weights.shape[1:])
    missing = -rows.shape[1] % LANES
    if missing:
        rows = torch.cat([rows, rows.new_zeros(groups, missing, *rows.shape[2:])], dim=1)
    return rows.reshape(groups, -1, LANES, *rows.shape[2:]).movedim(2, -1).contiguous()


class _Shape(ctypes.Structure):
    """``Shape`` of products.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "groups", "columns", "vectors", "size", "run")),
        *((name, ctypes.c_double) for name in ("unit", "offset", "most")),
    ]


@torch.library.custom_op("vsq::rounded_products", mutates_args=(), device_types="cpu")
def rounded_products(
    w: torch.Tensor,
    sw: torch.Tensor,
    a: torch.Tensor,
    sa: torch.Tensor,
    columns: int,
    run: int,
    unit: float,
    offset: float,
    most: int,
) -> torch.Tensor:
    """Return ``sum_g (sum_k a w) * min(most, round(sa * sw * unit + offset))``, [M, groups * N], in float64.

    Round goes half to even. All operands are float32, or all float64, in which products and sums must be exact.

    Args:
        w, sw: Codes [groups, N / LANES, G, V, LANES] and scales [groups, N / LANES, G, LANES].
        a, sa: Codes [M * groups, G, V] and scales [M * groups, G], of which m * groups + i is for group i.
        columns: N.
        run: Vectors whose sums are exact in the operands' type; those are summed up in float64.
    """
    functions = library("products")
    assert functions is not None
    out: torch.Tensor = _sums(w, sw, a, sa, columns, run, unit, offset, most)
    operands = [operand.contiguous() for operand in (w, sw, a, sa)]
    shape = _Shape(len(out), len(w), columns, *a.shape[1:], run, unit, offset, most)
    function = functions.products_float if w.dtype == torch.float32 else functions.products_double
    pointers = (ctypes.c_void_p(operand.data_ptr()) for operand in (*operands, out))
    function(ctypes.byref(shape), *pointers, torch.get_num_threads())
    return out


@rounded_products.register_fake
def _sums(
    w: torch.Tensor, sw: torch.Tensor, a: torch.Tensor, sa: torch.Tensor, columns: int, *_: float
) -> torch.Tensor:
    return a.new_empty(a.shape[0] // w.shape[0], w.shape[0] * columns, dtype=torch.float64)
