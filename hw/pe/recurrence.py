"""Division by digit recurrence: one compare-and-subtract for each bit of the quotient, the highest first."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from vsq.hw.pe.streams import staged

STEPS_PER_STAGE = 3  # quotient bits between registers


def divide(
    m: Module, source: Any, side: dict[str, Value], rest: Value, bits: int, divisor: str
) -> tuple[Any, dict[str, Value], Value, Value]:
    """Describe floor(rest / divisor) in so many bits, of which the quotient has no more; 0 if the divisor is 0.

    A register follows every :data:`STEPS_PER_STAGE` steps but the last ones.

    Args:
        source: The stream that ``side`` and ``rest`` are of.
        side: What passes beside the digits, by name.
        rest: The dividend, of ``bits`` more than the divisor.
        divisor: Its name in ``side``.

    Returns:
        source, side, remainder, quotient: All of them of the last stage.
    """
    digits: list[Value] = []
    for step in reversed(range(bits)):
        rest, digit = _step(m, rest, side[divisor], step)
        digits.insert(0, digit)
        if step and len(digits) % STEPS_PER_STAGE == 0:
            source = staged(m, f"stage{step}", source, {**side, "rest": rest, "digits": Cat(digits)})
            held = source.payload
            side, rest, digits = {name: held[name] for name in side}, held.rest, list(held.digits)
    return source, side, rest, Cat(digits)


def _step(m: Module, rest: Value, divisor: Value, step: int) -> tuple[Value, Value]:
    """Return the rest below divisor * 2^step, and the quotient's digit of that weight.

    rest < divisor * 2^(step+1), so its bits from ``step`` up are one more than the divisor's, and after it as many.
    """
    top = rest[step:]
    difference, digit = Signal(len(divisor) + 2, name=f"difference{step}"), Signal(name=f"digit{step}")
    remaining = Signal(len(divisor), name=f"remaining{step}")
    m.d.comb += [
        difference.eq(top - divisor),
        digit.eq(~difference[-1] & divisor.any()),
        remaining.eq(Mux(digit, difference, top)),
    ]
    return Cat(rest[:step], remaining), digit
