"""Proofs about the emitted hardware, most of them on small MACs: ``python -m vsq.tb.formal.prove``.

For each, with inputs and times without bound: the stream protocol, equality with the formula in plain Verilog
(:mod:`vsq.tb.formal.reference`), and that the registers' values at power-up are never seen. Besides, every input of the
datapath is simulated and compared with the golden model.

The protocol's properties stand in ``protocol.v``: a waiting result is stable, none is lost, doubled or made up, each
leaves within D + 1 cycles of ``out_ready``, and vectors are accepted whenever results are. Inputs and resets after the
first cycle are free. The SMT solver z3 proves them by k-induction.

So are the encoders of outputs in small floats and powers of two (:mod:`vsq.tb.formal.encoders`), for every input.

The Verilog of all presets, of AXI4-Stream ports and of small processing elements is proved to be the RTLIL that
synthesis reads (:mod:`vsq.tb.formal.emitted`), no assertion written beside a design fails
(:mod:`vsq.tb.formal.rules`), and a clock that is disabled changes nothing (:mod:`vsq.tb.formal.enable`).
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import z3
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig, Reset
from vsq.golden.contract.pe_config import PeConfig, configuration
from vsq.golden.model.packing import Integer
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import Design, design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal import enable, encoders, rules
from vsq.tb.formal.emitted import DESIGNS, GATE, compare_text
from vsq.tb.formal.equivalence import Verdict, compare_starts, compare_with
from vsq.tb.formal.reference import reference
from vsq.tb.interface.mac import MacInterface
from vsq.tb.mutation.pins import Pins
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import TOP
from vsq.tb.templates import filled

# Every pipeline depth, both policies, the styles, every rounding, with and without scales, promises and signs.
_CONFIGS = (
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=0",
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=1",
    "3/2U/-/2:V=3,R=1,round=truncate,acc=7,pipeline=1,style=behavioural",
    "2/2/2/-:V=2,acc=6,overflow=wrap,pipeline=2",
    "2/3U/2/2:V=2,R=2,round=half_even,acc=8,pipeline=2",
    "2/2/-/-:V=2,acc=6,narrow=1,pipeline=3",
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=3",
    "e2m1/2U/2/-:V=1,acc=8,pipeline=1",
    "2/2U/ue4m3/-:V=1,R=3,acc=10,pipeline=2",
    "2/2U/2/2:V=1,R=3,acc=5,pipeline=0,registered_ready=1",
    "2/2U/2/2:V=1,R=3,acc=5,pipeline=2,registered_ready=1",
    "2/1U/-/ue4m3:V=1,window=7,pipeline=2",
    "1U/1U/-/e8m0:V=1,window=3,pipeline=1",
    "2/1U/ue4m3/-:V=1,dpq=1,acc=20,pipeline=1",
    "e2m1/e2m1/-/-:V=1,acc=9,pipeline=1",
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=1,reset=none",
    "2/3U/2/2:V=2,R=3,acc=7,pipeline=2,style=carrysave",
)
_SECONDS = 900  # for a proof; the longest, of a window with two scales, takes 4 minutes
_MOST_STEPS = 8  # of induction
_FOLDER = Path(__file__).parent
_HELD = """  wire [{high}:0] held; // in front of stage 0
  assign valid[{depth}] = !outputs[0], last[{depth}] = held[{high}];"""


def protocol(config: MacConfig) -> str:
    """Prove the stream protocol; return by how many steps of induction, or nothing."""
    steps = induction(transitions(config, design(config).rtlil(TOP)), _MOST_STEPS)
    return f"{steps}-induction" if steps else ""


def formula(config: MacConfig) -> str:
    """Prove equality with the formula; return the verdict, or nothing if it is another."""
    return _proved(compare_with(Pins(config), design(config).rtlil(TOP), reference(config, "other"), _SECONDS))


def power_up(config: MacConfig) -> str:
    """Prove that no register's value at power-up is ever seen; return the verdict, or nothing if it is another."""
    return _proved(compare_starts(Pins(config), design(config).rtlil(TOP), _SECONDS))


def _proved(verdict: Verdict) -> str:
    return verdict if verdict == Verdict.EQUIVALENT else ""


def every_input(config: MacConfig) -> str:
    """Simulate all inputs of the datapath, a result for each, and return how many; a wrong one is an AssertionError."""
    size, offset = config.vector_size, Integer(config.offset_bits) if config.window else None
    others = (config.weight_scale, config.activation_scale, offset)
    formats = [config.weight] * size + [config.activation] * size + [fmt for fmt in others if fmt]
    codes = np.array(list(product(*(fmt.values for fmt in formats))))
    columns = iter(codes.T[2 * size :])
    sw, sa, offsets = (next(columns) if fmt else None for fmt in others)
    marks = np.ones(len(codes), np.bool_)
    beats = Beats(codes[:, :size], codes[:, size : 2 * size], sw, sa, marks, marks, offsets)
    streams = MacInterface(config).streams(beats)
    return f"{play(config, streams).board.results:,}"


def emitted(made: Design) -> Verdict:
    """Decide whether the Verilog of a design differs from its RTLIL."""
    return compare_text(made, made.verilog(GATE))


def assertions(made: Design) -> Verdict:
    """Decide whether an assertion of a design can fail."""
    return rules.check_rules(made, made.rtlil(TOP), rules.rules(made), _SECONDS)


CHECKS = {"protocol": protocol, "formula": formula, "power-up": power_up, "every input": every_input}


def transitions(config: MacConfig, rtlil: str) -> str:
    """Return the MAC with its properties as an SMT-LIB transition system of the module ``bench``."""
    pins, depth, registered = Pins(config), config.pipeline, config.registered_ready
    exposed = {f"mac_control.{mark}{i}": f"{mark}[{i}]" for mark in ("valid", "last") for i in range(depth)}
    if registered:
        exposed["in_skid_held"] = "held"
    extra = "".join(f", .\\{inside} ({net})" for inside, net in exposed.items())
    ins, outs = pins.widths
    bench = filled(
        _FOLDER / "bench.v",
        in_high=ins - 1,
        out_high=outs - 1,
        depth=depth,
        places=depth + registered,
        held=_HELD.format(high=pins.interface.inputs["in"].bits - 1, depth=depth) if registered else "",
        width=outs - 2,
        asynchronous=int(config.reset == Reset.ASYNC),
        resets=int(pins.resets),
        design=pins.instance(TOP, "tested", "inputs", "outputs", extra),
    )
    commands = [
        "read_rtlil design.il",
        "flatten",
        "opt_clean",
        *(f"expose w:{inside}" for inside in exposed),
        "read_verilog -formal protocol.v bench.v",
        "prep -flatten -top bench",
        "async2sync",
        "dffunmap",
        "write_smt2 bench.smt2",
    ]
    properties = (_FOLDER / "protocol.v").read_text()
    inputs = {"design.il": rtlil, "bench.v": bench, "protocol.v": properties}
    return run_yosys(commands, inputs, ["bench.smt2"])["bench.smt2"]


def induction(system: str, steps: int) -> int:
    """Return the least k up to ``steps`` for which k-induction proves the assertions; 0 if none does.

    Raises:
        AssertionError: If the assertions fail within ``steps`` cycles from the initial state; it names the cycle.
    """
    for k in range(1, steps + 1):
        if _possible(system, k, ["(|bench_i| s0)"]):
            raise AssertionError(f"the protocol is violated in cycle {k - 1}")
        if not _possible(system, k + 1):
            return k
    return 0


def _possible(system: str, states: int, constraints: Sequence[str] = ()) -> bool:
    """Whether there is a path of so many states on which the assertions fail in the last one alone."""
    last = states - 1
    path = [
        *constraints,
        *(f"(|bench_{kind}| s{i})" for i in range(states) for kind in "uh"),
        *(f"(|bench_t| s{i} s{i + 1})" for i in range(last)),
        *(f"(|bench_a| s{i})" for i in range(last)),
        f"(not (|bench_a| s{last}))",
    ]
    solver = z3.Solver()
    names = "".join(f"(declare-fun s{i} () |bench_s|)\n" for i in range(states))
    solver.from_string(system + names + "".join(f"(assert {constraint})\n" for constraint in path))
    verdict = solver.check()
    if verdict == z3.unknown:
        raise RuntimeError(f"z3 gives up: {solver.reason_unknown()}")
    return bool(verdict == z3.sat)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 if everything is proved."""
    parser = argparse.ArgumentParser(prog="python -m vsq.tb.formal.prove", description=__doc__.partition("\n\n")[0])
    parser.parse_args(arguments)
    console, proved = Console(), True
    table = Table(Column("configuration", overflow="fold"), *CHECKS, "s")
    for config in track(map(MacConfig.parse, _CONFIGS), "configurations", len(_CONFIGS), console=console):
        start = time.perf_counter()
        verdicts = [check(config) for check in CHECKS.values()]
        seconds = f"{time.perf_counter() - start:.0f}"
        table.add_row(config.full_name, *(verdict or "[red]not proved[/]" for verdict in verdicts), seconds)
        proved = proved and all(verdicts)
    console.print(table)
    table = Table(Column("encoders", overflow="fold"), *encoders.CHECKS, "s")
    for element in track(map(PeConfig.parse, encoders.CONFIGS), "encoders", len(encoders.CONFIGS), console=console):
        start = time.perf_counter()
        verdicts = [_proved(check(element)) for check in encoders.CHECKS.values()]
        seconds = f"{time.perf_counter() - start:.0f}"
        table.add_row(element.full_name, *(verdict or "[red]not proved[/]" for verdict in verdicts), seconds)
        proved = proved and all(verdicts)
    console.print(table)
    proofs: tuple[tuple[str, Sequence[tuple[str, str]], Callable[[Design], Verdict]], ...] = (
        ("emitted Verilog", DESIGNS, emitted),
        ("assertions", rules.DESIGNS, assertions),
        ("clock enable", enable.DESIGNS, enable.check_enable),
    )
    for title, designs, check in proofs:
        table = Table(Column(title, overflow="fold"), "ports", "verdict", "s")
        for text, interface in track(designs, title, len(designs), console=console):
            start, made = time.perf_counter(), design(configuration(text), interface)
            verdict = _proved(check(made))
            seconds = f"{time.perf_counter() - start:.0f}"
            table.add_row(made.config.full_name, interface, verdict or "[red]not proved[/]", seconds)
            proved = proved and bool(verdict)
        console.print(table)
    return int(not proved)


if __name__ == "__main__":
    sys.exit(main())
