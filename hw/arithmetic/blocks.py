"""Sums whose carries do not ripple through all bits."""

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned

from vsq.hw.arithmetic.styles import Style


def add_in_blocks(m: Module, style: Style, a: Value, b: Value, width: int, most: int, name: str) -> Value:
    """Return ``a + b`` modulo 2^width, in blocks of at most so many bits; a carry ripples through one of them alone.

    Both are signed, and ``a`` has at least as many bits as ``b``. All blocks are added at once. A carry c into a block
    inverts its sum up to the lowest 0: ``s[j] ^ (c & s[0] & .. & s[j-1])``, whose products of bits are as early as s.

    Source: A. Tyagi, A Reduced-Area Scheme for Carry-Select Adders, IEEE Trans. Computers 42(10), 1993.
    """
    blocks = -(-width // most)
    result: list[Value] = []
    carry: Value | None = None
    for index in range(blocks):
        start, stop = (width * edge // blocks for edge in (index, index + 1))
        x, y = (_part(value, start, stop, last=index == blocks - 1) for value in (a, b))
        size = stop - start
        total = style.add(m, x, y, signed(size) if x.shape().signed else unsigned(size + 1), f"{name}{index}")
        if carry is None:
            result.append(total[:size])
            carry = total[size:]
            continue
        ones = Signal(size - 1, name=f"{name}{index}_ones")  # bit j: those of the sum up to j + 1
        below = [total[0], *ones]
        m.d.comb += [one.eq(below[j] & total[j + 1]) for j, one in enumerate(ones)]
        carried = Signal(size, name=f"{name}{index}_carried")
        m.d.comb += carried.eq(total[:size] ^ Cat(carry, *(product & carry for product in below[: size - 1])))
        result.append(carried)
        if len(total) > size:
            following = Signal(name=f"{name}{index}_carry")
            m.d.comb += following.eq(total[size] | (below[-1] & carry))
            carry = following
    return Cat(result)


def _part(value: Value, start: int, stop: int, last: bool) -> Value:
    """Return the bits of a block: of the last one all from its start on, and of one beyond the value its sign."""
    if last:
        return value[min(start, len(value) - 1) :].as_signed()
    sign = value[-1].replicate(max(0, stop - len(value)))
    return Cat(value, sign)[start:stop]
