"""The order in which rows that share reads of the weight buffer are read, and what they wait for."""

import random
from itertools import groupby, pairwise, product

import pytest
from amaranth.sim import Simulator

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.pe.reuse import SharedIssueControl

SIZES = 8


def issued(reuse, commands, stall=0.0, seed=0):
    """Give commands, pairs of rows and vectors, to the control; return a tuple for each accepted operand.

    It has the weight vector that is on the buffer's output, the activation entry, marks, slot, and the cycle.
    """
    config = PeConfig.parse(f"2/2/-/-:V=1@lanes=1,weight_depth=16,activation_depth=128,reuse={reuse}")
    dut, rng, found = SharedIssueControl(config), random.Random(seed), []

    async def send(ctx):
        for rows, vectors in commands:
            ctx.set(dut.command.payload, {"rows": rows, "vectors": vectors})
            ctx.set(dut.command.valid, 1)
            await ctx.tick().until(dut.command.ready)
        ctx.set(dut.command.valid, 0)

    async def take(ctx):
        ctx.set(dut.issued.ready, 1)
        weight = entry = None  # on the outputs of the buffers
        for cycle in range(8 * sum(rows * vectors for rows, vectors in commands) + 20):
            ctx.set(dut.ready, rng.random() >= stall)
            ports = (dut.read, dut.read_weights, dut.weight_address, dut.activation_address)
            marks = (dut.first, dut.last, dut.slot)
            *_, valid, ready, read, read_weights, weight_address, address, first, last, slot = await ctx.tick().sample(
                dut.valid, dut.ready, *ports, *marks
            )
            if valid and ready:
                found.append((weight, entry, bool(first), bool(last), slot, cycle))
            assert read or not read_weights
            weight = weight_address if read_weights else weight
            entry = address if read else entry

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(send)
    sim.add_testbench(take)
    sim.run()
    return found


def check(reuse, rows, vectors, found, before=0):
    """Check the operands of one command that follows so many rows."""
    assert len(found) == rows * vectors
    by_row = {row: [one for one in found if one[1] // vectors == row] for row in range(rows)}
    for row, operands in by_row.items():
        start = (row % reuse) * vectors // reuse
        assert [weight for weight, *_ in operands] == [*range(start, vectors), *range(start)]
        assert [entry % vectors for _, entry, *_ in operands] == [weight for weight, *_ in operands]
        assert [first for _, _, first, *_ in operands] == [True] + [False] * (vectors - 1)
        assert [last for *_, last, _, _ in operands] == [False] * (vectors - 1) + [True]
        assert {slot for *_, slot, _ in operands} == {(before + row) % reuse}
    ends = [operands[-1][-1] for operands in by_row.values()]
    assert ends == sorted(ends)
    return len(list(groupby(weight for weight, *_ in found)))


@pytest.mark.parametrize("reuse", [2, 4, 8])
def test_every_row_reads_every_vector_once_in_its_turn(reuse):
    commands = list(product(range(1, SIZES + 1), repeat=2))
    random.Random(reuse).shuffle(commands)
    operands = iter(found := issued(reuse, commands))
    before = 0
    for rows, vectors in commands:
        reads = check(reuse, rows, vectors, [next(operands) for _ in range(rows * vectors)], before)
        before += rows
        # A vector is read again for every b rows, and beyond that once more at most for the rows that are left.
        if vectors > 1:
            assert reads < (rows / reuse + 2) * vectors
    assert [after[-1] - one[-1] for one, after in pairwise(found)] == [1] * (len(found) - 1)


@pytest.mark.parametrize("reuse", [2, 4, 8])
def test_the_order_is_the_same_when_the_lanes_wait(reuse):
    commands = [(11, 7), (1, 1), (5, 16), (9, 2)]
    waiting = issued(reuse, commands, stall=0.6, seed=reuse)
    assert [one[:-1] for one in waiting] == [one[:-1] for one in issued(reuse, commands)]


def test_four_rows_take_a_quarter_of_the_weight_reads():
    found = issued(4, [(16, 8)])
    assert check(4, 16, 8, found) == 4 * 8 + 6  # the last row begins six vectors after the first
