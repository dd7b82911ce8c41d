"""Decides whether two designs differ at any pin, for inputs and times without bound.

Both get the same inputs, and a reset in the first cycle and at any later time. In no reachable cycle may a handshake
differ, nor the payload of a valid result, as long as the inputs keep the narrow promise where the configuration makes
it. Yosys writes the pair, and ABC, which comes with it, decides, the cheapest way first: it merges what it proves equal
by induction (``scorr``), looks for a difference within some cycles (``bmc3``), asks whether both have the same next
state in each state that the design reaches, and decides what is left by property-directed reachability (``pdr``).
"""

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import pyosys

from vsq.hw.emit.yosys import run_yosys
from vsq.tb.mutation.pins import EXPOSE, Pins
from vsq.tb.regression.job import TOP
from vsq.tb.templates import filled

_ABC = Path(pyosys.__file__).with_name("yosys-abc")


class Verdict(StrEnum):
    """The outcome of comparing a pair."""

    EQUIVALENT = "proved equivalent"
    DIFFERENT = "differs"
    UNKNOWN = "unknown"


def compare(pins: Pins, rtlil: str, mutation: str, seconds: int) -> Verdict:
    """Decide whether a mutant differs from the design, if both start from the same arbitrary registers.

    Parameters
    ----------
    pins
        The pins of the design. Where the enables of the data registers are among them, a register that loads what no
        result depends on makes a difference.
    rtlil
        The design.
    mutation
        Yosys's command of the mutation in the flattened design.
    seconds
        After which each search gives up.
    """
    if " -port CLK " in mutation:
        return Verdict.UNKNOWN  # a register that has lost its clock cannot be said in such a graph
    change = re.sub(r" -ctrl \S+ \d+ \d+", "", mutation).replace(f"-module {TOP} ", "-module other ")
    pair = _pair(pins, rtlil, [f"copy {TOP} other", change])
    in_step = "" if " -port SRST " in mutation else _with_shared_start(_in_step(pair))
    return _decide(_with_shared_start(pair), seconds, in_step)


def compare_with(pins: Pins, rtlil: str, other: str, seconds: int) -> Verdict:
    """Decide whether a design differs from Verilog with the module ``other``, if all registers start at 0."""
    pair = _pair(pins, rtlil, ["read_verilog other.v"], {"other.v": other})
    return _decide(_from_zero(pair, ""), seconds)


def compare_starts(pins: Pins, rtlil: str, seconds: int) -> Verdict:
    """Decide whether a design from arbitrary registers differs from itself with all of them at 0."""
    pair = _pair(pins, rtlil, [f"copy {TOP} other"])
    return _decide(_with_shared_start(_from_zero(pair, r"other_design\.")), seconds)


def _pair(pins: Pins, rtlil: str, commands: Sequence[str], sources: Mapping[str, str] | None = None) -> str:
    """Return both designs and their comparison as BLIF; the commands make the module ``other``."""
    ins, outs = pins.widths
    pair = filled(
        Path(__file__).with_name("pair.v"),
        in_high=ins - 1,
        out_high=outs - 1,
        handshakes=pins.handshakes,
        legal=pins.legal("inputs"),
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
        "opt -full",
        "memory",
        "techmap",
        "dfflegalize -cell $_DFF_P_ 01",
        "opt_expr",
        "opt_merge",
        "opt_clean",
        "write_blif pair.blif",
    ]
    inputs = {"design.il": rtlil, "pair.v": pair, **(sources or {})}
    return run_yosys(script, inputs, ["pair.blif"])["pair.blif"]


def _from_zero(blif: str, prefix: str) -> str:
    """Let the registers whose names start so be 0 at first."""
    return re.sub(rf"^(\.latch \S+ {prefix}\S+ re clk )[23]$", r"\g<1>0", blif, flags=re.MULTILINE)


def _with_shared_start(blif: str) -> str:
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


def _in_step(blif: str) -> str:
    """Put the mutant into the design's state in each cycle; it differs one cycle after any next value does.

    If that never happens, the two never part, since they start from the same state: after the first cycle, in which a
    mutant that keeps its resets has the same values in the registers that are reset, and anything in the others. A
    register that stands for both designs stays as it is.
    """
    following = {q: data for data, q in re.findall(r"^\.latch (\S+) (\S+) re clk \d$", blif, flags=re.MULTILINE)}
    parted: list[str] = []

    def latch(match: re.Match[str]) -> str:
        data, q = match.groups()
        partner = q.replace("other_design.", "design.", 1)
        if partner not in following:
            return match[0]
        parted.append(f".names {data} {following[partner]} parted{len(parted)}\n10 1\n01 1\n")
        return f".names {partner} {q}\n1 1"

    text = re.sub(r"^\.latch (\S+) (other_design\.\S+) re clk \d$", latch, blif, flags=re.MULTILINE)
    names = [f"parted{number}" for number in range(len(parted))]
    rows = [f"{'1':->{number + 1}}".ljust(len(names), "-") + " 1\n" for number in range(len(names))]
    parts = [
        *parted,
        f".names {' '.join(names)} part\n",
        *rows,
        ".names part started parts_now\n11 1\n",
        ".latch parts_now had_parted re clk 0\n",
    ]
    text = text.replace("\n.outputs differs\n", "\n.outputs parts\n")
    return text.replace("\n.end", f"\n{''.join(parts)}.names differs had_parted parts\n1- 1\n-1 1\n.end")


def _decide(blif: str, seconds: int, in_step: str = "") -> Verdict:
    """Decide whether the output of a graph is ever 1; ``in_step`` is one that shows only that it is not."""
    verdict = _abc(blif, f"scorr; print_stats; bmc3 -T {max(1, seconds // 10)}")
    if verdict == Verdict.UNKNOWN and in_step:
        equivalent = _abc(in_step, f"scorr; print_stats; dc2; pdr -T {seconds}") == Verdict.EQUIVALENT
        verdict = Verdict.EQUIVALENT if equivalent else verdict
    if verdict == Verdict.UNKNOWN:
        verdict = _abc(blif, f"scorr; dc2; scorr -F 3; print_stats; pdr -T {seconds}")
    return verdict


def _abc(blif: str, commands: str) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="vsq-abc-") as folder:
        Path(folder, "pair.blif").write_text(blif)
        script = f"read_blif pair.blif; strash; {commands}"
        log = subprocess.run([_ABC, "-c", script], cwd=folder, capture_output=True, text=True, check=True).stdout
    # Without latches the output is one function of the inputs, and in the first cycle it is 0.
    if re.search(r"lat = +0 ", log) or "Property proved" in log:
        return Verdict.EQUIVALENT
    return Verdict.DIFFERENT if "was asserted in frame" in log else Verdict.UNKNOWN
