"""The kernel of the quantizer's passes as operators of PyTorch, on contiguous float32 tensors of a CPU."""

import ctypes

import torch

from vsq.golden.kernels.library import library


class _Rows(ctypes.Structure):
    """``Rows`` of quantize.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "length", "size")),
        ("threads", ctypes.c_int),
    ]


class _Element(ctypes.Structure):
    """``Element`` of quantize.cpp."""

    _fields_ = [("least", ctypes.c_float), ("most", ctypes.c_float), ("mantissa", ctypes.c_int)]


class _Scales(ctypes.Structure):
    """``Scales`` of quantize.cpp."""

    _fields_ = [
        ("sharing", ctypes.c_int64),
        ("most", ctypes.c_float),
        *((name, ctypes.c_int) for name in ("ceil", "at_least_one", "paper")),
    ]


_ELEMENT = "int size, int least, int most"
_OPERATORS = torch.library.Library("vsq", "FRAGMENT")  # type: ignore[no-untyped-call]  # PyTorch leaves it so
for _schema in (
    "peaks(Tensor x, int size) -> Tensor",
    f"codes(Tensor x, Tensor divisor, {_ELEMENT}, int mantissa) -> Tensor",
    f"reals(Tensor x, Tensor divisor, Tensor step, {_ELEMENT}, int mantissa) -> Tensor",
    f"fake_quantized(Tensor x, Tensor gamma, {_ELEMENT}, int[] scales) -> (Tensor, bool)",
):
    _OPERATORS.define(_schema)  # type: ignore[no-untyped-call]


def available() -> bool:
    """Return whether there is the kernel, which is compiled unless it was before."""
    return library("quantize") is not None


def peaks(x: torch.Tensor, size: int) -> torch.Tensor:
    """Return the largest magnitudes, [..., G], of vectors of ``size`` elements; NaN where there is one."""
    found: torch.Tensor = torch.ops.vsq.peaks(x, size)
    return found


def codes(x: torch.Tensor, divisor: torch.Tensor, size: int, *element: int) -> torch.Tensor:
    """Return the codes nearest to ``x / divisor``, int32, [..., G, V], the tail padded with zeros.

    Args:
        divisor: [..., G].
        element: The least and the largest code, and the bits of the mantissa, -1 for integers.
    """
    found: torch.Tensor = torch.ops.vsq.codes(x, divisor, size, *element)
    return found


def reals(x: torch.Tensor, divisor: torch.Tensor, step: torch.Tensor, size: int, *element: int) -> torch.Tensor:
    """Return codes, as :func:`codes` does, times ``step``, [..., G]: float32 of the shape of ``x``."""
    found: torch.Tensor = torch.ops.vsq.reals(x, divisor, step, size, *element)
    return found


def fake_quantized(
    x: torch.Tensor, gamma: torch.Tensor, size: int, least: int, most: int, scales: tuple[int, ...]
) -> tuple[torch.Tensor, bool]:
    """Return the reals of integers with integer scales, or without any; and whether ``x`` and gammas have such.

    Args:
        gamma: One for all rows, or for as many rows each.
        scales: The largest one, or 0; and whether they are rounded up, are at least one, and do not divide (Eq. 7).
    """
    found: tuple[torch.Tensor, bool] = torch.ops.vsq.fake_quantized(x, gamma, size, least, most, scales)
    return found


@torch.library.impl(_OPERATORS, "peaks", "CPU")
def _peaks(x: torch.Tensor, size: int) -> torch.Tensor:
    out = x.new_empty(*x.shape[:-1], -(-x.shape[-1] // size))
    _call("peaks", x, size, [], x, out)
    return out


@torch.library.impl(_OPERATORS, "fake_quantized", "CPU")
def _fake_quantized(
    x: torch.Tensor, gamma: torch.Tensor, size: int, least: int, most: int, scales: list[int]
) -> tuple[torch.Tensor, bool]:
    out, gamma = torch.empty_like(x), gamma.contiguous()
    level = _Scales(x.numel() // x.shape[-1] // gamma.numel(), *scales)
    good = _call("fake_quantize", x, size, [_Element(least, most, -1), level], x, gamma, out)
    return out, bool(good & 1)


@torch.library.impl(_OPERATORS, "codes", "CPU")
def _codes(x: torch.Tensor, divisor: torch.Tensor, size: int, *element: int) -> torch.Tensor:
    out = x.new_empty(*divisor.shape, size, dtype=torch.int32)
    _call("codes", x, size, [_Element(*element)], x, divisor.contiguous(), out)
    return out


@torch.library.impl(_OPERATORS, "reals", "CPU")
def _reals(x: torch.Tensor, divisor: torch.Tensor, step: torch.Tensor, size: int, *element: int) -> torch.Tensor:
    out = torch.empty_like(x)
    _call("reals", x, size, [_Element(*element)], x, divisor.contiguous(), step.contiguous(), out)
    return out


def _call(name: str, x: torch.Tensor, size: int, options: list[ctypes.Structure], *tensors: torch.Tensor) -> int:
    """Return what the library's function ``name`` does, given rows of ``x``, its other structures, and tensors."""
    length = x.shape[-1]
    structures = [_Rows(x.numel() // length, length, size, torch.get_num_threads()), *options]
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors)
    returned: int = getattr(library("quantize"), name)(*map(ctypes.byref, structures), *pointers)
    return returned
