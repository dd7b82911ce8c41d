"""The choice of adders, evaluated with Python integers."""

import random

import pytest

from vsq.hw.arithmetic.compressor import Bit, Plan, Wire, compress


def evaluate(plan: Plan, wires: dict[Wire, int]) -> int:
    """Value of the plan's result, adder by adder in the order in which they settle."""
    wires = dict(wires)
    for adder in sorted(plan.adders, key=lambda adder: adder.sum.arrival):
        polarity = adder.inverted
        operands = [wires[bit.wire] ^ (bit.inverted != polarity) for bit in adder.operands]
        total = sum(operands) + (adder.z if adder.is_half else 0)
        wires[adder.sum] = total & 1
        if adder.carry is not None:
            wires[adder.carry] = (total >> 1) ^ adder.is_half
    return sum(
        (bit if isinstance(bit, int) else wires[bit.wire] ^ bit.inverted) << column
        for column, bit in (*enumerate(plan.result), *plan.second.items())
    )


def random_columns(rng: random.Random) -> list[list[Bit]]:
    return [
        [Bit(Wire(rng.randint(0, 3)), rng.random() < 0.5) for _ in range(rng.randint(0, 6))]
        for _ in range(rng.randint(1, 8))
    ]


@pytest.mark.parametrize("seed", range(300))
def test_random_columns_add_up(seed):
    rng = random.Random(seed)
    columns = random_columns(rng)
    modulus = 1 << len(columns)
    constant = rng.randrange(modulus)
    split = rng.choice([None, *range(len(columns) + 1)])
    plan = compress(columns, constant, split)
    assert not plan.second or (split is not None and min(plan.second) >= split)
    for _ in range(4):
        wires = {bit.wire: rng.getrandbits(1) for column in columns for bit in column}
        values = [sum(wires[bit.wire] ^ bit.inverted for bit in column) for column in columns]
        assert evaluate(plan, wires) % modulus == (constant + sum(v << c for c, v in enumerate(values))) % modulus


@pytest.mark.parametrize("seed", range(50))
def test_operands_settle_before_their_adder_and_are_used_once(seed):
    columns = random_columns(random.Random(seed))
    plan = compress(columns, 0, random.Random(seed).choice([None, 0, 2]))
    used = [bit.wire for adder in plan.adders for bit in adder.operands]
    used += [bit.wire for bit in plan.bits]
    assert len(used) == len(set(used))
    assert all(bit.wire.arrival < adder.sum.arrival for adder in plan.adders for bit in adder.operands)


@pytest.mark.parametrize("seed", range(50))
def test_each_full_adder_removes_one_bit(seed):
    rng = random.Random(seed)
    # An empty column on top takes the carries as exclusive-ors, each of which removes one bit too.
    columns = [[Bit(Wire(0))] * 0, *random_columns(rng), []]
    constant = rng.randrange(1 << len(columns))
    plan = compress(columns, constant)
    bits = sum(map(len, columns)) + plan.repeated
    removed = sum(not adder.is_half or adder.carry is None for adder in plan.adders)
    assert bits - removed == sum(isinstance(bit, Bit) for bit in plan.result)


def test_late_bit_passes_one_adder():
    late = Bit(Wire(10))
    plan = compress([[Bit(Wire(0)) for _ in range(8)] + [late], []], 0)
    users = [adder for adder in plan.adders if late in adder.operands]
    assert len(users) == 1
    assert users[0].z == late
    assert plan.result[0] == Bit(users[0].sum)


def test_constants_alone_need_no_adder():
    plan = compress([[], [], []], 0b101)
    assert plan.adders == []
    assert plan.result == [1, 0, 1]
