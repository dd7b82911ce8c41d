"""A register on the inverted clock, as one step of a graph without clocks."""

import re

from vsq.tb.formal.netlist import FlatNetlist, either, gate

_INVERTED = re.compile(r"^\.latch \S+ (other_design\.\S+) re (?!clk )\S+ \d$", re.MULTILINE)
_LATCH = re.compile(r"^\.latch (\S+) (\S+) re clk \d\n", re.MULTILINE)
_GATE = re.compile(r"^\.names (.*)\n((?:[01-].*\n)*)", re.MULTILINE)
_RESET = "in[0]"
_EARLY = "~early"


def inverted(mutant: str) -> set[str]:
    """Return the registers of a pair's mutant whose clock is not the design's."""
    return set(_INVERTED.findall(mutant))


def half_cycle(pair: str, inverted: set[str]) -> str:
    """Return one step of a design beside itself with registers on the inverted clock; the output 1 is a difference.

    Such a register takes its next value half a cycle early, from what all registers hold after the clock's edge: until
    then its readers see the old value, afterwards the new one. Hence each gate behind it is there twice. In the step
    both start from the same registers, which hold anything. If no pin differs in either half of a cycle without reset,
    and all registers are the same at the next edge, then by induction both do the same until the next reset, once they
    are in the same state after one (:func:`vsq.tb.formal.netlist.matched`): each stretch between resets is one of the
    design's.

    Args:
        pair: A design and its copy, as :mod:`vsq.tb.formal.equivalence` writes them.
        inverted: The registers of the copy.
    """
    netlist = FlatNetlist(pair)
    behind = netlist.behind(inverted)

    def named(net: str, half: str) -> str:
        if half == _EARLY:
            return f"{net}{_EARLY}" if net in behind else net
        return f"{net}~late" if net in inverted else net

    def both(match: re.Match[str]) -> str:
        *inputs, output = match[1].split()
        halves = ("", _EARLY) if output in behind else ("",)
        texts = (
            f".names {' '.join([*(named(net, half) for net in inputs), output + half])}\n{match[2]}" for half in halves
        )
        return "".join(texts)

    following = {q: named(data, _EARLY if q in inverted else "") for q, data in netlist.latches.items()}
    pairs = [(q, own) for q in following if (own := q.removeprefix("other_")) != q and own in following]
    unlike = {f"unlike{number}": [following[one] for one in pair] for number, pair in enumerate(pairs)}
    gates = [
        *(gate([own], q, ["1"]) for q, own in pairs),
        *(gate([following[q]], f"{q}~late", ["1"]) for q in sorted(inverted)),
        *(gate(data, name, ["10", "01"]) for name, data in unlike.items()),
        either(["differs", *(["differs" + _EARLY] if "differs" in behind else [])], "pins"),
        either([*unlike], "state"),
        gate(["started", _RESET, "pins", "state"], "wrong", ["101-", "10-1"]),
    ]
    free = " ".join(following.keys() - {q for q, _ in pairs})
    text = _GATE.sub(both, _LATCH.sub("", pair)).replace("\n.outputs differs\n", "\n.outputs wrong\n")
    return text.replace("\n.inputs ", f"\n.inputs {free} ", 1).replace("\n.end", f"\n{''.join(gates)}.end")
