"""Mutants whose data registers load where the design's hold still: one step of a bisimulation of design and mutant.

A vector with r = 0 adds nothing, so that it is not ``active`` and the data registers of its stages hold still; no pin
tells if a mutant's do not. A state of the design and one of the mutant are related if all registers are equal, but

- the registers before the accumulator may differ in a stage that is empty, or whose vector is not active;
- ``first`` and ``last`` may differ in a stage that is empty;
- ``active`` may differ in a stage that is empty, and where the mutant's is 1 and the design's 0: there the mutant's
  registers of r and of t are 0. The design's is 1 for each vector that is ``first``.

The proof is that no pin differs between related states, and that the same inputs lead them to related ones. It is made
apart for every case of ``valid`` and ``active`` in the stages: with these as constants the datapaths of design and
mutant have the same registers, hence the same gates, or the mutant's product is 0.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

from vsq.tb.formal.netlist import FlatNetlist, either, gate

_ACTIVE = re.compile(r"(design\.(?:mac_|pe_lanes\.)control\.)active0(?:\[(\d+)\])?")
_EMPTY, _EQUAL, _ZERO = "0", "111", "101"
_STAGES = (_EMPTY, _EQUAL, _ZERO, "100")  # valid, and if so active in the design and in the mutant


class _Lane:
    """The registers of a pair, those of one lane's pipeline by stage.

    Args:
        netlist: The pair.
        control: What the names of the control's registers begin with.
        lane: The number of the lane; empty if there is one alone, in a vector MAC.
    """

    def __init__(self, netlist: FlatNetlist, control: str, lane: str) -> None:
        self.following = following = netlist.latches
        self.others = {q: f"other_{q}" for q in following if f"other_{q}" in following}
        depth = sum(q.startswith(f"{control}valid") for q in following)
        self.valid = [f"{control}valid{stage}" for stage in range(depth)]
        self.active = [f"{control}active{stage}{f'[{lane}]' * bool(lane)}" for stage in range(depth)]
        self.first = [f"{control}first{stage}" for stage in range(depth)]
        self.last = [f"{control}last{stage}" for stage in range(depth)]
        self.ones = {net for net, value in netlist.simplified({}).items() if value == "1"}
        reset = netlist.simplified({"started": "0"})
        nets = {*following, *netlist.gates}
        self.their_active = [f"other_{mark}" if f"other_{mark}" in nets else mark for mark in self.active]
        self.marks = list(zip(self.valid, self.active, self.their_active, strict=True))
        self.full = {mark: (valid, ["110"]) for valid, mark, _ in self.marks}
        for marks in (self.first, self.last):
            self.full |= {mark: (valid, ["110", "101"]) for valid, mark in zip(self.valid, marks, strict=True)}
        # The mutant has no registers but the design's.
        self.complete = (
            {q for q in following if q.startswith("other_design.")} == set(self.others.values())
            and all(reset[following[mark]] == "0" for mark in self.valid)
            and {*self.their_active} <= {*following, *self.ones}
        )
        parts = control.replace("control.", f"lane{lane}." if lane else "datapath_")
        self.scaled = {q for q in self.others if q.startswith(f"{parts}scale.")}
        dots = {q for q in self.others if q.startswith(f"{parts}dot_product.")}
        data = {q: netlist.support(following[q]) for q in dots | self.scaled}

        @cache
        def stage(q: str) -> int:
            return 1 + max(map(stage, (data[q] & data.keys()) - {q}), default=-1)

        self.stages = {q: stage(q) for q in data}

    def claims(self) -> Iterator[tuple[list[str], list[str]]]:
        """Yield inputs and truth table of each gate that is 1 if the next states are not related."""
        following = self.following
        for q, other in self.others.items():
            pair = [following[q], following[other]]
            if q in self.stages:
                marks = [following.get(mark, mark) for mark in self.marks[self.stages[q]]]
                yield [*marks, *pair], ["11-10", "11-01", *(["101-1"] if q in self.scaled else [])]
            elif q in self.full:
                valid, rows = self.full[q]
                yield [following[valid], *pair], rows
            else:
                yield pair, ["10", "01"]
        for wrong in zip(self.valid, self.active, self.first, strict=True):
            yield [following[mark] for mark in wrong], ["101"]

    def cases(self) -> Iterator[dict[str, str]]:
        """Yield what registers of related states have that do not have anything: constants, or the design's."""
        for case in product(_STAGES, repeat=len(self.valid)):
            state = {other: q for q, other in self.others.items()} | {"started": "1", "kept": "1"}
            bits: list[tuple[str, str]] = []
            for stage, values in enumerate(case):
                bits += zip(self.marks[stage], values, strict=False)
                if values == _EMPTY:
                    for mark in (self.their_active[stage], f"other_{self.first[stage]}", f"other_{self.last[stage]}"):
                        state.pop(mark, None)
                elif values != _EQUAL:
                    bits.append((self.first[stage], "0"))
            state |= bits
            for q, stage in self.stages.items():
                if case[stage] == _ZERO and q in self.scaled:
                    state[self.others[q]] = "0"
                elif case[stage] != _EQUAL:
                    del state[self.others[q]]
            # Else a register that both share, or that is constant in the mutant, has another value.
            if all((state | dict.fromkeys(self.ones, "1"))[net] == bit for net, bit in bits):
                yield {net: value for net, value in state.items() if net in self.following}


def lanes(blif: str) -> Iterator[Iterator[str]]:
    """Yield for each lane a step from related states in each case: its output is 1 if the claim is wrong.

    There is none in a design without gating, nor if the mutant has registers that the design has not.
    """
    netlist = FlatNetlist(blif)
    for match in filter(None, map(_ACTIVE.fullmatch, netlist.latches)):
        lane = _Lane(netlist, match[1], match[2] or "")
        if lane.complete:
            yield _steps(blif, netlist, lane)


def _steps(blif: str, netlist: FlatNetlist, lane: _Lane) -> Iterator[str]:
    claims = list(lane.claims())
    names = ["differs", *(f"wrong{number}" for number in range(len(claims)))]
    gates = [
        *(gate(inputs, name, rows) for name, (inputs, rows) in zip(names[1:], claims, strict=True)),
        either(names, "any_wrong"),
        gate(["any_wrong", netlist.latches.get("kept", "$true")], "wrong", ["11"]),
    ]
    text = re.sub(r"^\.latch .*\n", "", blif, flags=re.MULTILINE).replace("\n.outputs differs\n", "\n.outputs wrong\n")

    for state in lane.cases():
        free = " ".join(netlist.latches.keys() - state.keys())
        known = [
            gate([], net, [""] * int(value)) if value in ("0", "1") else gate([value], net, ["1"])
            for net, value in state.items()
        ]
        yield text.replace("\n.inputs ", f"\n.inputs {free} ").replace(
            "\n.end", "\n" + "".join([*known, *gates, ".end"])
        )
