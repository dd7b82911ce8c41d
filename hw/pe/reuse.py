"""The control's second stage where a read of the weight buffer serves several rows."""

from collections.abc import Iterator

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from vsq.hw.mac.shapes import chosen
from vsq.hw.pe.issue import IssueControl


class SharedIssueControl(IssueControl):
    """Reads a weight vector once for up to b rows, and one operand per cycle all the same.

    Round follows round, each with the next vector of the weight buffer, going round. In a round each row under way
    reads its activation vector, in a cycle of its own. Rows are at b *places*: row k of a command at place k mod b,
    from the round of vector ``floor((k mod b) * G / b)`` on, for G rounds. So results come evenly, and only in a
    command's first and last rounds fewer than b rows are under way. A place without a row costs no cycle.
    """

    def walk(self, m: Module, command: data.View, vector: Signal, first: Signal, last: Signal) -> Iterator[Value]:
        reuse = self.config.reuse
        # A bit for each place: the one that reads now, the one that the next row takes, and those that have a row.
        place = Signal(reuse, init=1)
        turn = Signal(reuse, init=1)
        taken = Signal(reuse)
        begun = Signal.like(command.rows)
        block = Signal.like(self.activation_address)
        older = Signal()
        unread = Signal(init=1)
        slot = Signal.like(self.slot, reset_less=True)
        offset = Signal.like(self.slot)

        next_vector = Signal.like(vector)
        next_begun = Signal.like(begun)
        next_turn = Signal.like(turn)
        next_taken = Signal.like(taken)
        begins = Signal()
        ends = Signal()
        left = Signal()
        same = Signal(reuse)
        following = Signal(reuse)
        final = Signal()
        entries = [number * command.vectors for number in range(reuse)]
        starts = [before[reuse.bit_length() - 1 :][: len(vector)] for before in entries]
        start = chosen(next_turn, starts)
        m.d.comb += [
            next_vector.eq(Mux(vector + 1 == command.vectors, 0, vector + 1)),
            begins.eq(~(place & taken).any()),
            ends.eq(next_vector == chosen(place, starts)),
            next_begun.eq(begun + begins),
            left.eq(next_begun != command.rows),
            next_turn.eq(Mux(begins, turn.rotate_left(1), turn)),
            next_taken.eq((taken | place) & ~(place & ends.replicate(reuse))),
            # Places that read after this one, in the same round, or else in the next one.
            same.eq(_above(place) & (taken | (next_turn & (left & (vector == start)).replicate(reuse)))),
            following.eq(next_taken | (next_turn & (left & (next_vector == start)).replicate(reuse))),
            final.eq(~(same | following).any()),
            # Of the b rows before those that begin at entry ``block``: its place has not been taken again.
            older.eq(~begins & ~(_above(place) & turn).any()),
            self.activation_address.eq(
                block + chosen(place, entries) + vector - Mux(older, reuse * command.vectors, 0)
            ),
            self.read_weights.eq(self.read & unread),
            self.slot.eq(slot),
        ]
        yield final
        m.d.sync += [
            first.eq(begins),
            last.eq(ends),
            slot.eq(offset + chosen(place, range(reuse))),
            taken.eq(next_taken),
            turn.eq(next_turn),
            begun.eq(next_begun),
            unread.eq(~same.any()),
            place.eq(_lowest(Mux(same.any(), same, following))),
        ]
        with m.If(~same.any()):
            m.d.sync += vector.eq(next_vector)
        with m.If(begins & turn[-1]):
            m.d.sync += block.eq(block + reuse * command.vectors)
        with m.If(final):
            m.d.sync += [
                *(state.eq(state.init) for state in (vector, place, turn, begun, block)),
                offset.eq(offset + command.rows),
            ]


def _above(place: Value) -> Value:
    """Return the places after one."""
    return Cat(place[:number].any() for number in range(len(place)))


def _lowest(places: Value) -> Value:
    """Return the first one of some places; none of none."""
    return places & ~_above(places)
