"""Decides whether two designs differ at any pin, for inputs and times without bound.

Both get the same inputs, and a reset in the first cycle and at any later time. In no reachable cycle may a handshake
differ, nor the payload of a valid result, as long as the inputs keep the narrow promise where the configuration makes
it. Yosys writes the pair, and ABC, which comes with it, decides in :data:`STAGES`, the cheapest first.

Registers without reset hold anything at first. A mutant is equivalent if each of its runs is one of the design's, whose
registers may hold something else before the reset; it differs if some run does from the same registers.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from importlib.metadata import distribution
from pathlib import Path

from vsq.hw.emit.design import design
from vsq.hw.emit.emission import Clocking
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal import clock, gating
from vsq.tb.formal.netlist import matched, together, with_shared_start
from vsq.tb.mutation.pins import EXPOSE, Pins
from vsq.tb.regression.job import TOP
from vsq.tb.templates import filled

# Found without an import: the package sets RTLD_GLOBAL for all libraries that the process loads afterwards, and of
# PyTorch's compiled kernels, each with a symbol `kernel`, the first would then stand for all.
_ABC = str(distribution("pyosys").locate_file("pyosys/yosys-abc"))


class Verdict(StrEnum):
    """The outcome of comparing a pair."""

    EQUIVALENT = "proved equivalent"
    DIFFERENT = "differs"
    UNKNOWN = "unknown"


def compare(pins: Pins, rtlil: str, mutation: str, seconds: int) -> Verdict:
    """Decide whether a mutant differs from the design.

    Args:
        pins: Where the enables of the data registers are among them, a register that loads what no result depends on
            makes a difference.
        rtlil: The design.
        mutation: Yosys's command of the mutation in the flattened design.
        seconds: After which each search gives up.
    """
    if " -port CLK " in mutation:
        return _clocked(pins, rtlil, mutation)
    plain = design(pins.config).clocking == Clocking()  # of other designs the lanes' registers have other conditions
    stages = STAGES if plain else [stage for stage in STAGES if stage is not gated]
    return _decide(mutant_pair(pins, rtlil, mutation), seconds, stages)


def _clocked(pins: Pins, rtlil: str, mutation: str) -> Verdict:
    """Decide about a register on another clock: only the inverted one can be said in a graph without clocks."""
    late = clock.inverted(mutant_pair(pins, rtlil, mutation)) if " -mode inv " in mutation else set()
    pair = _pair(pins, rtlil, [f"copy {TOP} other"])
    proved = late and matched(pair) and decide(clock.half_cycle(pair, late), "iprove") == Verdict.EQUIVALENT
    return Verdict.EQUIVALENT if proved else Verdict.UNKNOWN


def mutant_pair(pins: Pins, rtlil: str, mutation: str) -> str:
    """Return a design and its mutant as BLIF, for :data:`STAGES`."""
    change = re.sub(r" -ctrl \S+ \d+ \d+", "", mutation).replace(f"-module {TOP} ", "-module other ")
    return _pair(pins, rtlil, [f"copy {TOP} other", change])


def compare_with(pins: Pins, rtlil: str, other: str, seconds: int) -> Verdict:
    """Decide whether a design differs from Verilog with the module ``other``, if all registers start at 0."""
    pair = _pair(pins, rtlil, ["read_verilog other.v"], {"other.v": other})
    return _decide(from_zero(pair), seconds, _GENERAL)


def compare_starts(pins: Pins, rtlil: str, seconds: int) -> Verdict:
    """Decide whether a design from arbitrary registers differs from itself with all of them at 0."""
    pair = _pair(pins, rtlil, [f"copy {TOP} other"])
    return _decide(from_zero(pair, r"other_design\."), seconds, _GENERAL)


def _pair(pins: Pins, rtlil: str, commands: Sequence[str], sources: Mapping[str, str] | None = None) -> str:
    """Return both designs and their comparison as BLIF; the commands make the module ``other``."""
    ins, outs = pins.widths
    pair = filled(
        Path(__file__).with_name("pair.v"),
        in_high=ins - 1,
        out_high=outs - 1,
        handshakes=pins.handshakes,
        legal=pins.legal("inputs"),
        reset="in[0] | !started" if pins.resets else "1'b0",
        cared=pins.cared("a"),
        design=pins.instance(TOP, "design", "inputs", "a"),
        other=pins.instance("other", "other_design", "inputs", "b"),
    )
    script = [
        "read_rtlil design.il",
        EXPOSE,
        "flatten",
        "opt_clean",
        *commands,
        "read_verilog pair.v",
        "hierarchy -top pair",
        "proc",
        "flatten",
        "async2sync",
        "setundef -undriven -expose",
        "opt_expr -keepdc",
        "opt_clean",
        "memory_map",
        "techmap",
        "dfflegalize -cell $_DFF_P_ 01",
        "opt_expr -keepdc",
        "opt_clean",
        "write_blif pair.blif",
    ]
    inputs = {"design.il": rtlil, "pair.v": pair, **(sources or {})}
    return run_yosys(script, inputs, ["pair.blif"])["pair.blif"]


def from_zero(blif: str, prefix: str = "") -> str:
    """Let the registers whose names start so be 0 at first."""
    return re.sub(rf"^(\.latch \S+ {prefix}\S+ re clk )[23]$", r"\g<1>0", blif, flags=re.MULTILINE)


def soon(pair: str, seconds: int) -> Verdict:
    """Merge what is equal by induction, and look for a difference within some cycles."""
    return decide(with_shared_start(pair), f"scorr; print_stats; bmc3 -T {max(1, seconds // 10)}")


def gated(pair: str, seconds: int) -> Verdict:
    """Prove that data registers load more often than the design's, and no pin tells."""
    lanes = gating.lanes(pair) if matched(pair) else ()
    proved = any(all(decide(step, "iprove") == Verdict.EQUIVALENT for step in steps) for steps in lanes)
    return Verdict.EQUIVALENT if proved else Verdict.UNKNOWN


def in_step(pair: str, seconds: int) -> Verdict:
    """Prove that both have the same next state in each state that the design reaches."""
    search = f"scorr; print_stats; dc2; pdr -T {seconds}"
    proved = matched(pair) and decide(with_shared_start(together(pair)), search) == Verdict.EQUIVALENT
    return Verdict.EQUIVALENT if proved else Verdict.UNKNOWN


def reachable(pair: str, seconds: int) -> Verdict:
    """Decide by property-directed reachability."""
    return decide(with_shared_start(pair), f"scorr; dc2; scorr -F 3; print_stats; pdr -T {seconds}")


_GENERAL = (soon, reachable)
STAGES = (soon, gated, in_step, reachable)  # of a design and its mutant, the cheapest first


def _decide(pair: str, seconds: int, stages: Sequence[Callable[[str, int], Verdict]]) -> Verdict:
    verdicts = (stage(pair, seconds) for stage in stages)
    return next((verdict for verdict in verdicts if verdict != Verdict.UNKNOWN), Verdict.UNKNOWN)


def decide(blif: str, commands: str) -> Verdict:
    """Decide whether the output of a graph is ever 1."""
    with tempfile.TemporaryDirectory(prefix="vsq-abc-") as folder:
        Path(folder, "pair.blif").write_text(blif)
        script = f"read_blif pair.blif; strash; {commands}"
        log = subprocess.run([_ABC, "-c", script], cwd=folder, capture_output=True, text=True, check=True).stdout
    # Without latches the output is one function of the inputs, and in the first cycle it is 0.
    if re.search(r"lat = +0 |Property proved|^UNSATISFIABLE", log, re.MULTILINE):
        return Verdict.EQUIVALENT
    return Verdict.DIFFERENT if "was asserted in frame" in log else Verdict.UNKNOWN
