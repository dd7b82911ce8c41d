"""Checks of what is quantized, of scales that a caller chose, and of options."""

import math
from typing import Any

from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.tensor import FLOAT32_MAX


def real_values(x: Any, name: str, xp: Any) -> Any:
    """Return ``x`` as float32, or raise an InputError if it cannot be quantized by its type or shape."""
    try:
        values = xp.asarray(x, dtype=xp.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: {error}; give an array of real numbers") from None
    shape = tuple(values.shape)
    if len(shape) < 2 or 0 in shape:
        rule = "at least two axes, none of them empty, are needed; reshape it"
        raise InputError(f"{name}: shape {shape}, but {rule}")
    return values


def given(scales: Any, shape: tuple[int, ...], name: str, sharing: str, checked: bool, xp: Any) -> Any:
    """Return scales that the caller chose as float32 of ``shape``."""
    values = xp.asarray(scales, dtype=xp.float32)
    if math.prod(values.shape) != math.prod(shape):
        raise InputError(f"{name}: shape {tuple(values.shape)}, but {sharing}; give {math.prod(shape)} values")
    values = values.reshape(shape)
    if checked and not ((values >= 0) & (values <= FLOAT32_MAX)).all():
        bad = ~(values >= 0) | xp.isinf(values)
        refuse(bad, values, name, "must be finite and not negative; calibrate it again", xp)
    return values


def refuse(bad: Any, values: Any, name: str, rule: str, xp: Any) -> None:
    """Raise an InputError that names the first of the bad values, if there are any."""
    if bad.any():
        where = [int(i) for i in xp.argwhere(bad)[0]]
        raise InputError(f"{name}{where} = {float(values[tuple(where)])}: {rule}")


def check_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        InputError: If so.
    """
    if not isinstance(value, bool):
        raise InputError(f"{name} of type {type(value).__name__}: must be True or False")


def check_number(name: str, value: Any, low: float, high: float, example: float, *, above: bool = False) -> None:
    """Refuse what is no number from ``low`` to ``high``; ``above``: nor ``low`` itself.

    Raises:
        InputError: If so.
    """
    inside = isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
    if not inside or (above and value == low):
        rule = f"above {low} and at most {high}" if above else f"{low} to {high}"
        raise InputError(f"{name} {value!r}: must be {rule}; choose for example {example}")
