"""A design and a mutant as one flat netlist in BLIF, as Yosys writes it, and what their registers hold at a time."""

import re
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter

_LATCH = re.compile(r"^\.latch (\S+) (\S+) re clk (\d)$", re.MULTILINE)
_GATE = re.compile(r"^\.names (.*)\n((?:[01-].*\n)*)", re.MULTILINE)


class FlatNetlist:
    """Gates, latches and inputs of a flat netlist.

    Attributes:
        latches: The net with the next value of each latch.
        gates: The inputs of each gate, and the rows of its truth table that give 1.
        inputs: The primary inputs but the clock.
    """

    def __init__(self, blif: str) -> None:
        self.latches = {q: data for data, q, _ in _LATCH.findall(blif)}
        self.inputs = re.findall(r"^\.inputs clk (.*)$", blif, re.MULTILINE)[0].split()
        self.gates = {}
        for nets, rows in _GATE.findall(blif):
            *inputs, output = nets.split()
            self.gates[output] = (inputs, [row.split()[0] if inputs else "" for row in rows.splitlines()])
        order = TopologicalSorter({net: inputs for net, (inputs, _) in self.gates.items()}).static_order()
        self._order = [net for net in order if net in self.gates]

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

    def behind(self, nets: Iterable[str]) -> set[str]:
        """Return the gates that depend on one of the nets within a cycle."""
        found = set(nets)
        sources = found.copy()
        for net in self._order:
            if not found.isdisjoint(self.gates[net][0]):
                found.add(net)
        return found - sources


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


def either(inputs: Sequence[str], output: str) -> str:
    """Return a gate as BLIF whose output is 1 if any input is."""
    return gate(inputs, output, [f"{'1':->{number + 1}}".ljust(len(inputs), "-") for number in range(len(inputs))])


def matched(blif: str) -> bool:
    """Return whether each state of the mutant after the reset cycle is one that the design can have then too.

    That is so if the same registers have a value after the reset whatever they held before, and the same one, and if
    all others of the design hold still in a reset cycle in which those had this value before and all other inputs are
    0: the others may then hold anything in the design, so also what the mutant's happen to hold. Registers of the
    mutant that have none beside them in the design must hold still too.
    """
    netlist = FlatNetlist(blif)

    def after(known: dict[str, str]) -> dict[str, str]:
        values = netlist.simplified({**known, "started": "0"})
        return {q: values.get(data, data) for q, data in netlist.latches.items()}

    reset = {q: value for q, value in after({}).items() if value in ("0", "1")}
    idle = after({**reset, **dict.fromkeys(netlist.inputs, "0")})
    pairs = {f"other_{q}": q for q in netlist.latches if f"other_{q}" in netlist.latches}
    return all(reset.get(q) == reset.get(other) for other, q in pairs.items()) and all(
        idle[q] == q for q in idle.keys() - reset.keys() - pairs.keys()
    )


def with_shared_start(blif: str) -> str:
    """Let registers without a value at first start from a free input, one for those of the same name in both designs.

    A design and its mutant are two versions of one circuit, so that they share this value.
    """

    def latch(match: re.Match[str]) -> str:
        data, q, start = match.groups()
        if start not in "23":
            return match[0]
        starts.add(start := "start_" + re.sub(r"^(design|other_design)\.", "", q))
        return f".latch {data} {q}_later re clk 0\n.names started {start} {q}_later {q}\n01- 1\n1-1 1"

    starts: set[str] = set()
    text = _LATCH.sub(latch, blif)
    return text.replace("\n.inputs ", f"\n.inputs {' '.join(sorted(starts))} ", 1)


def together(blif: str) -> str:
    """Put the mutant into the design's state in each cycle; the output is 1 one cycle after any next value differs.

    Suppose that this never happens from the second cycle on, and that both are :func:`matched`. The first cycle is a
    reset. After it the mutant's registers hold y, and so may the design's, since every y that a mutant can hold then is
    one that the design can; the design's run from y is among those considered here, since its registers start from
    anything. If both hold the same in one cycle, the design reaches this state, so both have the same next state for
    all inputs, and the same pins: by induction the mutant's run is that run of the design.

    A register of the mutant that has none beside it in the design is no part of this comparison: it goes on from its
    own value. One that stands for both designs, since Yosys has merged them, stays as it is.
    """
    following = FlatNetlist(blif).latches
    mutants = (q for q in following if q.startswith("other_design."))
    partners = {q: own for q in mutants if (own := q.removeprefix("other_")) in following}

    def latch(match: re.Match[str]) -> str:
        return f".names {partners[match[2]]} {match[2]}\n1 1" if match[2] in partners else match[0]

    parted = {f"parted{number}": [following[q], following[partners[q]]] for number, q in enumerate(partners)}
    gates = [
        *(gate(pair, name, ["10", "01"]) for name, pair in parted.items()),
        either([*parted], "part"),
        gate(["part", "started"], "parts_now", ["11"]),
        ".latch parts_now had_parted re clk 0\n",
        gate(["differs", "had_parted"], "parts", ["1-", "-1"]),
    ]
    text = _LATCH.sub(latch, blif).replace("\n.outputs differs\n", "\n.outputs parts\n")
    return text.replace("\n.end", f"\n{''.join(gates)}.end")
