"""Verification of one design by every means there is, with one verdict: ``vsq verify``."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from vsq.golden.contract.config import MacConfig, signed_bits
from vsq.golden.contract.distribution import install
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.tb.mutation.mutate import score
from vsq.tb.mutation.pins import Pins, rows, run_undefined
from vsq.tb.regression.dut import Dut
from vsq.tb.regression.job import TOP
from vsq.tb.regression.run import regress

Stage = tuple[str, Callable[[], str]]  # a means of verification: its name, and a check, which says what it did

_SMALL_BITS, _SMALL_ACC_BITS, _SMALL_SIZE = 2, 6, 2  # of elements and scales, accumulator, vector: proved in seconds
_UNDEFINED_BEATS = 300


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """The stages of one design.

    Args:
        sims: Names of simulators. The first one simulates the netlist.
        seed: Of all random streams and of the mutants.
        out: Folder of the regressions and of the mutants' reports.
        mapped: Maps RTLIL, whose top module it is given, to Verilog of cells and their models.
        dut: A design in the place of the generated one. Mutants and proofs are of generated designs alone.
    """

    config: Configuration
    sims: tuple[str, ...]
    seed: int
    out: Path
    mapped: Callable[[str, str], str]
    dut: Dut | None
    mutants: int

    def stages(self) -> Iterator[Stage]:
        """Yield the stages in the order in which they run."""
        for sim in self.sims:
            yield f"regression, {sim}", partial(self._regression, sim, self.dut)
        if self.dut is None:
            yield "mutants", self._mutants
            for name in ("protocol", "formula", "power-up", "every input"):
                if name != "every input" or "verilator" in self.sims:
                    yield f"proof, {name}", partial(self._proof, name)
        yield f"netlist, {self.sims[0]}", lambda: self._regression(self.sims[0], Dut(verilog=self._mapped()))
        if self.config.kind == MacConfig.kind and "icarus" in self.sims:
            yield "netlist, undefined values", self._undefined

    def _regression(self, sim: str, dut: Dut | None) -> str:
        summary = regress([self.config], sims=[sim], seed=self.seed, out=self.out, dut=dut)
        [(_, result)] = summary.results
        if not summary.passed:
            failures = [f"{outcome.name}: {outcome.failure}" for outcome in result.outcomes if outcome.failure]
            raise AssertionError("\n".join([*failures, f"files: {summary.folder}"]))
        return f"{result.counts['beats']:,} beats, {result.counts['results']:,} results"

    def _mutants(self) -> str:
        report = score(self.config, self.mutants, self.seed, "cocotb", self.out / "mutants")
        if report.missed:
            raise AssertionError("\n".join(f"missed: {mutant.change} ({mutant.verdict})" for mutant in report.missed))
        return f"{report.found} found, {len(report.mutants) - report.found} proved equivalent"

    def _proof(self, name: str) -> str:
        from vsq.tb.formal.prove import CHECKS

        small = reduced(self.config.mac)
        verdict = CHECKS[name](small)
        if not verdict:
            raise AssertionError(f"{small.full_name} is not proved")
        return f"{small.full_name}: {verdict}"

    def _undefined(self) -> str:
        pins = Pins(self.config.mac)
        cycles = rows(pins, _UNDEFINED_BEATS, self.seed)
        with tempfile.TemporaryDirectory(prefix="vsq-undefined-") as folder:
            verdict = run_undefined(pins, self._mapped(), cycles, Path(folder))
        if verdict != "passed":
            raise AssertionError(verdict)
        return f"none at the pins in {len(cycles):,} cycles"

    def _mapped(self) -> str:
        """Return the design's netlist."""
        if self.dut is None:
            return self.mapped(design(self.config).rtlil(TOP), TOP)
        commands = ["read_verilog -sv dut.v", f"hierarchy -check -top {TOP}", "proc", "write_rtlil dut.il"]
        try:
            read = run_yosys(commands, {"dut.v": self.dut.verilog}, ["dut.il"])
        except YosysError as error:
            raise InputError(f"Yosys cannot read the design: {error}") from None
        return self.mapped(read["dut.il"], TOP)


def verify(stages: Iterable[Stage], console: Console) -> int:
    """Run stages, show a table with a row for each, and return 0 if all passed, else 1.

    A check that raises ``InputError`` or ``ModuleNotFoundError`` cannot be done here; with ``RuntimeError`` or
    ``AssertionError`` it has failed.
    """
    table = Table("stage", Column("what", overflow="fold"), Column("s", justify="right"), "verdict")
    verdicts = []
    for name, check in stages:
        start = time.perf_counter()
        with console.status(name):
            try:
                verdict, about = "pass", check()
            except InputError as error:
                verdict, about = "not run", str(error)
            except ModuleNotFoundError as error:
                verdict, about = "not run", f"{error.name} is not installed; {install(error.name or '')}"
            except (RuntimeError, AssertionError) as error:
                verdict, about = "FAIL", str(error)
        verdicts.append(verdict)
        if verdict != "pass":
            console.print(f"[red]{verdict}[/] {name}\n{escape(about)}\n", soft_wrap=True)
        color = "green" if verdict == "pass" else "red"
        line = about.partition("\n")[0]
        table.add_row(name, escape(line), f"{time.perf_counter() - start:.0f}", f"[{color}]{verdict}[/]")
    console.print(table)
    return int(not verdicts or any(verdict != "pass" for verdict in verdicts))


def reduced(config: MacConfig) -> MacConfig:
    """Return the small relative of a vector MAC: the same options with few bits, short vectors and a small accumulator.

    A rounded scale product stays rounded, and a window holds an unshifted term; NaN never occurs. Dual precision keeps
    the scale that it is for.
    """
    sides = ("weight", "activation", "weight_scale", "activation_scale")
    small: dict[str, Any] = {name: (form := getattr(config, name)) and form.at_most(_SMALL_BITS) for name in sides}
    if config.dual_precision:
        small["weight_scale"] = config.weight_scale
    # Beyond so many bits, where a format has no small relative.
    widest = max(_SMALL_BITS, small["weight"].bits, small["activation"].bits)
    relative = replace(
        config,
        **small,
        vector_size=min(config.vector_size, max(1, _SMALL_SIZE * _SMALL_BITS // widest)),
        scale_product_bits=None,
        accumulator_bits=min(config.acc_bits, _SMALL_ACC_BITS),
        window=None,
        max_vectors=None,
        finite=True,
    )
    if config.window:
        relative = replace(relative, accumulator_bits=None, window=signed_bits(*relative.unshifted_range) + 1)
    if not config.scale_shift or config.scale_product_bits is None:
        return relative
    return replace(relative, scale_product_bits=min(config.scale_product_bits, relative.full_product_bits - 1))
