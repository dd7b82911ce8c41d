"""Proves the stream protocol of the emitted MAC by k-induction, with the SMT solver z3.

The properties stand in ``protocol.v``: a waiting result is stable, none is lost, doubled or made up, each leaves within
D + 1 cycles of ``out_ready``, and vectors are accepted whenever results are. Inputs and resets after the first cycle
are free.
"""

from pathlib import Path

import z3

from vsq.golden.contract.config import MacConfig
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.mutation.pins import Pins
from vsq.tb.regression.job import TOP
from vsq.tb.templates import filled

_PROPERTIES = Path(__file__).with_name("protocol.v")


def transitions(config: MacConfig, design: str) -> str:
    """Return the MAC with its properties as an SMT-LIB transition system of the module ``bench``."""
    pins, depth = Pins(config), config.pipeline
    marks = "".join(
        f", .\\mac_control.{mark}{stage} ({mark}[{stage}])" for mark in ("valid", "last") for stage in range(depth)
    )
    ins, outs = pins.widths
    high = outs - 1
    bench = filled(
        Path(__file__).with_name("bench.v"),
        in_high=ins - 1,
        out_high=high,
        depth=depth,
        width=high - 1,
        design=pins.instance(TOP, "tested", "inputs", "outputs", marks),
    )
    commands = [
        "read_rtlil design.il",
        "flatten",
        "opt_clean",
        *(f"expose w:mac_control.{mark}{stage}" for mark in ("valid", "last") for stage in range(depth)),
        "read_verilog -formal protocol.v bench.v",
        "prep -flatten -top bench",
        "async2sync",
        "dffunmap",
        "write_smt2 bench.smt2",
    ]
    inputs = {"design.il": design, "bench.v": bench, "protocol.v": _PROPERTIES.read_text()}
    return run_yosys(commands, inputs, ["bench.smt2"])["bench.smt2"]


def prove(system: str, steps: int) -> int:
    """Return the least k up to ``steps`` for which k-induction proves the assertions; 0 if none does.

    Raises:
        AssertionError: If the assertions fail within ``steps`` cycles from the initial state; it names the cycle.
    """
    for k in range(1, steps + 1):
        if _possible(system, ["(|bench_i| s0)", *_path(k)], k):
            raise AssertionError(f"the protocol is violated in cycle {k - 1}")
        if not _possible(system, _path(k + 1), k + 1):
            return k
    return 0


def _path(states: int) -> list[str]:
    """Return constraints of a path on which the assertions fail in the last state alone."""
    last = states - 1
    return [
        *(f"(|bench_{kind}| s{i})" for i in range(states) for kind in "uh"),
        *(f"(|bench_t| s{i} s{i + 1})" for i in range(last)),
        *(f"(|bench_a| s{i})" for i in range(last)),
        f"(not (|bench_a| s{last}))",
    ]


def _possible(system: str, constraints: list[str], states: int) -> bool:
    solver = z3.Solver()
    names = "".join(f"(declare-fun s{i} () |bench_s|)\n" for i in range(states))
    solver.from_string(system + names + "".join(f"(assert {constraint})\n" for constraint in constraints))
    verdict = solver.check()
    if verdict == z3.unknown:
        raise RuntimeError(f"z3 gives up: {solver.reason_unknown()}")
    return bool(verdict == z3.sat)
