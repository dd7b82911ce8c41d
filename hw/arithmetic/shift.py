"""Shifts by a number of places that is known at run time."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value


def shift_left(m: Module, value: Value, places: Value, low: int, shape: Shape, name: str) -> Value:
    """Return ``(value * 2^places) >> low`` in as many bits as ``shape`` has, high ones being cut.

    The shift is a multiplexer for each bit of ``places``, the smallest first: so the early stages are narrow. The sign
    passes beside them, as long as a stage has fewer columns than are kept.
    """
    whole, end = value, low + shape.width
    for index, moves in enumerate(places):
        size, last = 1 << index, index == len(places) - 1
        stop = end if last or len(whole) + size > end else None
        first = low if last or 2 * size >= end else 0  # the stages after such a size move nothing up
        whole = shift_once(m, whole, moves, size, first, stop, f"{name}_{size}")
        low, end = low - first, end - first
    return whole


def shift_once(m: Module, value: Value, moves: Value, size: int, low: int, stop: int | None, name: str) -> Value:
    """Return columns ``low`` to ``stop`` of ``value``, moved up by ``size`` places or not; all columns if that is None.

    The result is as signed as ``value``; columns beyond the sign repeat it.
    """
    signed = value.shape().signed
    sign, body = (value[-1], value[:-1]) if signed else (Const(0, 1), value)
    end = len(body) + size if stop is None else stop
    kept = body[: max(0, end - size)]  # of what moves up by size
    still = Cat(body, sign.replicate(size))
    # Zeros come by gates and not by multiplexers, of which Yosys would make resets of the registers behind them.
    middle = len(kept) if signed else min(len(kept), max(0, len(body) - size))
    first = min(max(0, low - size), middle)  # columns below ``low`` are left out
    parts = {
        "_low": (low_bits := still[low : max(low, min(size, end))]) & ~moves.replicate(len(low_bits)),
        "": Mux(moves, kept[first:middle], still[size + first : size + middle]),
        "_high": kept[middle:] & moves.replicate(len(kept) - middle),
    }
    stages = [Signal(len(part), name=f"{name}{suffix}") for suffix, part in parts.items()]
    m.d.comb += [stage.eq(part) for stage, part in zip(stages, parts.values(), strict=True)]
    moved = Cat(stages)
    if stop is None:
        return Cat(moved, sign).as_signed() if signed else moved
    return Cat(moved, sign.replicate(stop - low - len(moved)))
