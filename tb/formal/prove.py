"""Proofs about the emitted MAC on small configurations: ``python -m vsq.tb.formal.prove``.

For each, with inputs and times without bound: the stream protocol, equality with the formula in plain Verilog
(:func:`reference`), and that the registers' values at power-up are never seen. Besides, every input of the datapath is
simulated and compared with the golden model.

The protocol's properties stand in ``protocol.v``: a waiting result is stable, none is lost, doubled or made up, each
leaves within D + 1 cycles of ``out_ready``, and vectors are accepted whenever results are. Inputs and resets after the
first cycle are free. The SMT solver z3 proves them by k-induction.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import z3
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig, Overflow, Rounding
from vsq.golden.formats.elements import Format
from vsq.golden.stimulus.stream import Beats
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.formal.equivalence import Verdict, compare_starts, compare_with
from vsq.tb.interface.mac import MacInterface
from vsq.tb.mutation.pins import Pins
from vsq.tb.playback.playback import play
from vsq.tb.regression.job import TOP
from vsq.tb.templates import filled

# Every pipeline depth, both policies, both styles, every rounding, with and without scales, promises and signs.
_CONFIGS = (
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=0",
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=1",
    "3/2U/-/2:V=3,R=1,round=truncate,acc=7,pipeline=1,style=behavioural",
    "2/2/2/-:V=2,acc=6,overflow=wrap,pipeline=2",
    "2/3U/2/2:V=2,R=2,round=half_even,acc=8,pipeline=2",
    "2/2/-/-:V=2,acc=6,narrow=1,pipeline=3",
    "2/2U/2/2:V=2,R=3,acc=6,pipeline=3",
    "e2m1/2U/2/-:V=1,acc=8,pipeline=1",
)
_SECONDS = 300  # for a proof
_MOST_STEPS = 8  # of induction
_FOLDER = Path(__file__).parent


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
    size, scales = config.vector_size, (config.weight_scale, config.activation_scale)
    formats = [config.weight] * size + [config.activation] * size + [fmt for fmt in scales if fmt]
    codes = np.array(list(product(*(fmt.values for fmt in formats))))
    columns = iter(codes.T[2 * size :])
    sw, sa = (next(columns) if fmt else None for fmt in scales)
    marks = np.ones(len(codes), np.bool_)
    streams = MacInterface(config).streams(Beats(codes[:, :size], codes[:, size : 2 * size], sw, sa, marks, marks))
    return f"{play(config, streams).board.results:,}"


CHECKS = {"protocol": protocol, "formula": formula, "power-up": power_up, "every input": every_input}


def reference(config: MacConfig, module: str) -> str:
    """Return the MAC in plain Verilog, as its formula reads, as a module with the emitted design's ports.

    Vectors travel through the promised pipeline as they came, and all arithmetic (``*``, ``+``, comparisons) happens at
    its end, in words that hold every intermediate value.
    """
    pins, limit = Pins(config), 1 << (config.acc_bits - 1)
    bits = max(config.acc_bits, *(abs(end).bit_length() + 1 for end in config.term_range)) + 2
    layout = pins.interface.inputs["in"]
    *beat, _, _ = layout.fields  # without the marks
    low, factors = layout.low, [f"beat[{layout.low[name]}+:{layout.widths[name]}]" for name in beat[2:]]
    products = (
        f"{_code(low['weights'] + i * config.weight.bits, config.weight)} * "
        f"{_code(low['activations'] + i * config.activation.bits, config.activation)}"
        for i in range(config.vector_size)
    )
    s, most, least = config.scale_shift, f"{bits}'sd{limit - 1}", f"-{bits}'sd{limit}"
    largest = None if config.scale_product_bits is None else f"{bits}'d{(1 << config.scale_product_bits) - 1}"
    high = low["first"] - 1
    stages = [filled(_FOLDER / "stage.v", i=i, h=i - 1, beat_high=high) for i in range(1, config.pipeline + 1)]
    saturates = config.overflow == Overflow.SATURATE
    return filled(
        _FOLDER / "reference.v",
        module=module,
        ports=", ".join(
            f"{way} [{width - 1}:0] {pin}"
            for way, pins_of in (("input", pins.inputs), ("output", pins.outputs))
            for pin, width in pins_of.items()
        ),
        high=bits - 1,
        beat_high=high,
        dot=" + ".join(products),
        product=" * ".join(factors) or "1",
        shift=s,
        carry=_carry(s, config.rounding),
        clamped=f"p > {largest} ? {largest} : p" if largest else "p",
        beat=", ".join(f"in_{name}" for name in reversed(beat)),
        active="first0 | factor(beat0) != 0" if factors else "1",
        stages="".join(stages),
        depth=config.pipeline,
        acc_bits=config.acc_bits,
        most=most,
        least=least,
        policy=f"total > {most} ? {most} : total < {least} ? {least} : total" if saturates else "total",
        flag=", out_overflow = overflow" if saturates else "",
    )


def _code(low: int, fmt: Format) -> str:
    """Return one element of a beat as a signed number."""
    code = f"beat[{low}+:{fmt.bits}]"
    if fmt.contiguous:
        return f"$signed({code})" if fmt.signed else f"$signed({{1'b0, {code}}})"
    table = enumerate(fmt.decode(np.arange(1 << fmt.bits)).tolist())
    return "(" + "".join(f"{code} == {pattern} ? {value} : " for pattern, value in table) + "0)"


def _carry(shift: int, rounding: Rounding) -> str:
    """Return what rounding adds to the product p without its low bits."""
    if shift == 0 or rounding == Rounding.TRUNCATE:
        return "0"
    half, odd = f"p[{shift - 1}]", f"p[{shift}]"
    if rounding == Rounding.HALF_UP:
        return half
    return f"{half} & {odd}" if shift == 1 else f"{half} & ({odd} | |p[{shift - 2}:0])"


def transitions(config: MacConfig, rtlil: str) -> str:
    """Return the MAC with its properties as an SMT-LIB transition system of the module ``bench``."""
    pins, depth = Pins(config), config.pipeline
    marks = [(mark, stage) for mark in ("valid", "last") for stage in range(depth)]
    extra = "".join(f", .\\mac_control.{mark}{stage} ({mark}[{stage}])" for mark, stage in marks)
    ins, outs = pins.widths
    bench = filled(
        _FOLDER / "bench.v",
        in_high=ins - 1,
        out_high=outs - 1,
        depth=depth,
        width=outs - 2,
        design=pins.instance(TOP, "tested", "inputs", "outputs", extra),
    )
    commands = [
        "read_rtlil design.il",
        "flatten",
        "opt_clean",
        *(f"expose w:mac_control.{mark}{stage}" for mark, stage in marks),
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
    return int(not proved)


if __name__ == "__main__":
    sys.exit(main())
