"""A netlist in BLIF, as Yosys writes it: gates and latches by the net that they drive."""

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from graphlib import TopologicalSorter

_GATE = re.compile(r"^\.names (.*)\n((?:[01-].*\n)*)", re.MULTILINE)


class FlatNetlist:
    """Gates, latches and inputs of a flat netlist.

    Attributes:
        latches: The net with the next value of each latch.
        gates: The inputs of each gate, and the rows of its truth table that give 1.
        inputs: The primary inputs but the clock.
    """

    def __init__(self, blif: str) -> None:
        self.latches = {q: data for data, q in re.findall(r"^\.latch (\S+) (\S+) re clk \d$", blif, re.MULTILINE)}
        self.inputs = re.findall(r"^\.inputs clk (.*)$", blif, re.MULTILINE)[0].split()
        self.gates = {}
        for nets, rows in _GATE.findall(blif):
            *inputs, output = nets.split()
            self.gates[output] = (inputs, [row.split()[0] if inputs else "" for row in rows.splitlines()])

    @cached_property
    def _order(self) -> list[str]:
        graph = {net: inputs for net, (inputs, _) in self.gates.items()}
        return [net for net in TopologicalSorter(graph).static_order() if net in self.gates]

    def simplified(self, known: Mapping[str, str]) -> dict[str, str]:
        """Return what each gate and each known net comes to: 0, 1, or a net that it always equals, perhaps its own."""
        values = dict(known)
        for net in self._order:
            inputs, rows = self.gates[net]
            values[net] = known.get(net) or _output(net, [values.get(source, source) for source in inputs], rows)
        return values

    def support(self, net: str) -> set[str]:
        """Return the latches and primary inputs that a net depends on within a cycle."""
        seen, rest = {net}, [net]
        while rest:
            sources, _ = self.gates.get(rest.pop(), ((), ()))
            rest += (fresh := set(sources) - seen)
            seen |= fresh
        return {source for source in seen if source not in self.gates}


def _output(net: str, inputs: list[str], rows: list[str]) -> str:
    """Return what a gate comes to whose inputs come to these."""
    terms = []
    for row in rows:
        literals = {(source, bit) for source, bit in zip(inputs, row, strict=True) if bit not in ("-", source)}
        if not literals:
            return "1"
        if {source for source, _ in literals}.isdisjoint("01"):
            terms.append(literals)
    if not terms:
        return "0"
    (source, bit), *more = set.union(*terms)
    return source if bit == "1" and not more else net


def gate(inputs: Sequence[str], output: str, rows: Sequence[str]) -> str:
    """Return a gate as BLIF: its output is 1 in the rows of its truth table."""
    return f".names {' '.join([*inputs, output])}\n" + "".join(f"{row} 1\n" for row in rows)
