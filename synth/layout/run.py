"""Layouts of several MACs: synthesized, laid out on every core, kept in a folder, and measured."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vsq.golden.contract.config import MacConfig, Reset
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.io.files import write_text
from vsq.synth.gatesim.stimulus import operands
from vsq.synth.layout.connectivity import LayoutError
from vsq.synth.layout.layout import Layout, Subject, file_name, measure
from vsq.synth.layout.lef import Lef
from vsq.synth.layout.netlist import blif
from vsq.synth.layout.picture import by_klayout, svg
from vsq.synth.layout.qflow import PACKAGES, PlaceAndRoute, find_tools, lay_out, versions
from vsq.synth.layout.report import LayoutReport
from vsq.synth.library.liberty import BUILT_IN
from vsq.synth.measure.area import synthesize_all
from vsq.synth.measure.energy import Setup
from vsq.synth.measure.timing import find_sta
from vsq.synth.report.comparison import of_one_kind

# The library that Debian has with its LEF.
OSU018 = Path("/usr/share/qflow/tech/osu018")
_SLEW = 0.1  # of inputs, in the library's unit of time
_LIBERTY, _LEF = OSU018 / "osu018_stdcells.lib", OSU018 / "osu018_stdcells.lef"


def layout(
    designs: Configuration | str | Iterable[Configuration | str],
    out: str | Path,
    *,
    route: bool = False,
    seeds: int = 1,
    liberty: str | Path | None = None,
    lef: Sequence[str | Path] = (),
    data: str = "gaussian",
    dont_use: Sequence[str] = (),
    pictures: Sequence[str] = (),
    console: Console | None = None,
) -> LayoutReport:
    """Place vector MACs, or place and route them, on every core; check the layouts, and measure them with their wires.

    What lies intact in ``out`` from a run with the same cells, seed and library is taken from there.

    Args:
        designs: Configurations, or texts such as ``4/4/4/6``.
        out: The folder for each layout's DEF, SPEF and SVG.
        route: Whether to route too; otherwise wires are estimated from the placement.
        seeds: How many layouts of each design, by placement's seeds 1, 2, ...
        liberty: A Liberty file with timing and power; OSU's of 180 nm, of a Debian package, if there is none.
        lef: The library's LEF files, that of the layers first.
        data: What energy is measured on: ``digits``, ``minilm``, ``gaussian``, or an ``.npz`` file of a layer.
        dont_use: Patterns of names of cells that are not used.
        pictures: Of ``gds`` and ``png``, which klayout writes.
        console: Where progress is shown.

    Raises:
        InputError: If a design is no vector MAC, a tool is missing or fails, the library has no LEF, timing or power,
            or the folder cannot be written.
    """
    configs = _macs(designs)
    cells, setup = library(liberty, lef, data, dont_use)
    if pictures:
        import_module("klayout")
    folder = Path(out)
    entering = [operands(config, data) for config in configs]
    netlists = synthesize_all(configs, setup.flow)
    subjects = [Subject.of(*each, cells, setup) for each in zip(configs, netlists, entering, strict=True)]
    jobs = [*product(subjects, range(1, seeds + 1))]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())

    def run(subject: Subject, seed: int) -> Layout | str:
        job = PlaceAndRoute(blif=blif(subject.gates), lef=cells, seed=seed, route=route)
        name = file_name(subject.config, seed, routed=route)
        text = _kept(folder / f"{name}.def", job)
        try:
            found = measure(subject, text, cells, setup, seed=seed, routed=route)
        except LayoutError as error:
            return f"{error} ({folder / name}.def)"
        write_text(folder / f"{name}.spef", found.wires)
        write_text(folder / f"{name}.svg", svg(found, cells))
        for picture in pictures:
            by_klayout(text, cells, folder / f"{name}.{picture}")
        return found

    with Progress(*columns, console=console or Console(quiet=True), transient=True) as progress:
        bar = progress.add_task("layouts", total=len(jobs))

        def each(job: tuple[Subject, int]) -> Layout | str:
            done = run(*job)
            progress.advance(bar)
            return done

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = [*pool.map(each, jobs)]
    return LayoutReport(
        setup=setup,
        routed=route,
        layouts=[found for found in results if isinstance(found, Layout)],
        refused={
            (subject.config, seed): found
            for (subject, seed), found in zip(jobs, results, strict=True)
            if isinstance(found, str)
        },
        tools=versions(),
    )


def _kept(path: Path, job: PlaceAndRoute) -> str:
    """Return the layout that the file holds, if it follows from the same and is intact; else make and write it.

    The file's first line has a digest of what the layout follows from, and one of the lines below.
    """

    def headed(body: str) -> str:
        return f"# vsq layout {job.digest} {hashlib.sha256(body.encode()).hexdigest()[:16]}\n{body}"

    if path.is_file():
        text = path.read_text(errors="replace")
        if text == headed(text.partition("\n")[2]):
            return text
    text = headed(lay_out(job))
    write_text(path, text)
    return text


def _macs(designs: Configuration | str | Iterable[Configuration | str]) -> list[MacConfig]:
    found = []
    for config in dict.fromkeys(of_one_kind(designs)):
        if not isinstance(config, MacConfig):
            raise InputError(f"{config.full_name}: layouts are of vector MACs; leave out the @ and what follows it")
        if config.reset != Reset.SYNC:
            raise InputError(
                f"{config.full_name}: energy is of designs with a synchronous reset; leave reset={config.reset} out"
            )
        found.append(config)
    return found


def library(
    liberty: str | Path | None, lef: Sequence[str | Path], data: str, dont_use: Sequence[str]
) -> tuple[Lef, Setup]:
    """Return the library's LEF, and how energy is measured with its Liberty file.

    Raises:
        InputError: If a file is missing or malformed, or has no timing or no power, or if a tool is missing.
    """
    if liberty is None:
        if lef:
            raise InputError(f"--lef {lef[0]}: a layout needs the cells' Liberty file too; give --liberty")
        liberty, lef = _LIBERTY, [_LEF]
        if not _LIBERTY.is_file() or not _LEF.is_file():
            raise InputError(f"{OSU018}: the library is not installed; apt-get install {PACKAGES}")
    elif not lef:
        advice = "it has none; leave --liberty out" if str(liberty) in BUILT_IN else "give it by --lef"
        raise InputError(f"--liberty {liberty}: a layout needs the library's LEF too; {advice}")
    cells = Lef.load([Path(path) for path in lef])
    setup = Setup.of(liberty, data, _SLEW, dont_use=dont_use)
    find_tools()
    find_sta(setup.flow.library)
    return cells, setup
