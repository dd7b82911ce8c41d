"""Contents of the registers of a design and a mutant, before the reset and after it."""

import re

from vsq.tb.formal.netlist import FlatNetlist


def matched(netlist: FlatNetlist) -> bool:
    """Return whether each state of the mutant after the reset cycle is one that the design can have then too.

    That is so if the same registers have a value after the reset whatever they held before, and the same one, and if
    all others of the design hold still in a reset cycle in which those had this value before and all other inputs are
    0: the others may then hold anything in the design, so also what the mutant's happen to hold. Registers of the
    mutant that have none beside them in the design must hold still too.
    """

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
        data, q = match.groups()
        start = "start_" + re.sub(r"^(design|other_design)\.", "", q)
        starts.add(start)
        return f".latch {data} {q}_later re clk 0\n.names started {start} {q}_later {q}\n01- 1\n1-1 1"

    starts: set[str] = set()
    text = re.sub(r"^\.latch (\S+) (\S+) re clk [23]$", latch, blif, flags=re.MULTILINE)
    return text.replace("\n.inputs ", f"\n.inputs {' '.join(sorted(starts))} ", 1)
