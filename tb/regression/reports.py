"""The reports of a regression: the columns of its table, and JSON, HTML and JUnit's XML, each written atomically."""

import json
import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from vsq.golden.io.charts import render
from vsq.golden.io.files import replacing, write_text
from vsq.tb.coverage.points import Hits, closure, merge, missing
from vsq.tb.designs import ENVIRONMENTS, Environment
from vsq.tb.regression.job import RECORDING, TOP, Job, Result
from vsq.tb.simulation import simulators

Results = Sequence[tuple[Job, Result]]
Cell = str | tuple[str, str]  # a text, or a text and its class

COLUMNS = ("configuration", "simulator", "beats", "seconds", "MAC/s", "coverage", "seed", "result")
_EVIDENCE = {
    "Verilog": f"{TOP}.v",
    "assertions": f"{TOP}_sva.sv",
    "build log": "build.log",
    "simulation log": "simulation.log",
    "job log": "job.log",
    "recording": RECORDING,
}  # in a failed job's folder
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


def cells(job: Job, result: Result) -> list[str]:
    """Return a job's entries in :data:`COLUMNS`; the beats of a processing element are commands.

    MAC/s are V * beats, or V * L * operands, per second of simulation, builds left out.
    """
    closed, total = closure(result.coverage)
    beats, design = result.counts.get("beats", 0), job.design
    macs = design.mac.vector_size * design.lanes * result.counts.get("operands", beats)
    seconds = sum(outcome.seconds for outcome in result.outcomes)
    return [
        job.config,
        job.simulator,
        str(beats),
        f"{result.seconds:.1f}",
        f"{macs / seconds:,.0f}" if macs and seconds else "-",
        f"{closed}/{total}" if total else "-",
        str(job.seed),
        "pass" if result.passed else "FAIL",
    ]


def _evidence(job: Job, result: Result, failures: Path, path: Path) -> dict[str, str]:
    """Return what a failed job left, by what it is, as links from the report ``path``."""
    kept, waves = failures / job.name, {"waves": result.waves} if result.waves else {}
    files = (
        {} if result.passed else {name: file for name, file in (_EVIDENCE | waves).items() if (kept / file).exists()}
    )
    return {name: quote(os.path.relpath(kept / file, path.parent)) for name, file in files.items()}


def _version(simulator: str) -> str:
    found = simulators.probe()[simulator]
    return found.version if isinstance(found, simulators.Simulator) else "absent"


def write_coverage(results: Results, path: Path, failures: Path) -> None:
    """Write the hits of every job, and the closure of every job and configuration."""
    del failures
    document = {
        "goals": {point.name: point.goal for kind in ENVIRONMENTS.values() for point in kind.points},
        "configurations": {config: _closure(hits) for config, hits in _merged(results).items()},
        "jobs": [
            {
                "config": job.config,
                "simulator": job.simulator,
                "seed": job.seed,
                "beats": job.beats,
                **_closure(result.coverage),
                "waived": job.environment.waived(job.design),
                "hits": result.coverage,
            }
            for job, result in results
        ],
    }
    write_text(path, json.dumps(document, indent=1) + "\n")


def write_html(results: Results, path: Path, failures: Path) -> None:
    """Write the table of jobs, the failures, and each configuration's coverage, as a page that needs no other file.

    What failed jobs left in the folder ``failures`` is linked.
    """
    covered = _merged(results)
    kinds = {job.config: job.environment for job, _ in results}
    page = render(
        "tb/regression/report.html",
        date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        passed=sum(result.passed for _, result in results),
        columns=COLUMNS,
        jobs=[[*entries, (verdict, verdict)] for *entries, verdict in (cells(*each) for each in results)],
        versions=", ".join(f"{name} {_version(name)}" for name in dict.fromkeys(job.simulator for job, _ in results)),
        failures=[
            (
                f"{job.config} {job.simulator}",
                [(outcome.name, outcome.failure) for outcome in result.outcomes if outcome.failure],
                _evidence(job, result, failures, path),
                job.command,
            )
            for job, result in results
            if not result.passed
        ],
        closures=[
            f"[{number}] {name}: {closed} of {total} points closed"
            for number, (name, hits) in enumerate(covered.items(), 1)
            for closed, total in [closure(hits)]
        ],
        points=[
            _points(kind, mine)
            for kind in ENVIRONMENTS.values()
            if (mine := {i: hits for i, (name, hits) in enumerate(covered.items(), 1) if kinds[name] is kind})
        ],
        missing=[
            f"{name}, {point}: {'; '.join(bins)}"
            for name, hits in covered.items()
            for point, bins in missing(hits).items()
        ],
    )
    write_text(path, page)


def write_junit(results: Results, path: Path, failures: Path) -> None:
    """Write one test suite a job and one test case a test, for continuous integration.

    A suite's properties are its counts, its command, the simulator's version, and what a failed job left in the folder
    ``failures``.
    """
    root = Element("testsuites", name="vsq regress")
    for job, result in results:
        suite = SubElement(
            root,
            "testsuite",
            name=f"{job.config} {job.simulator}",
            tests=str(len(result.outcomes)),
            failures=str(sum(bool(outcome.failure) for outcome in result.outcomes)),
            time=f"{result.seconds:.3f}",
        )
        properties = SubElement(suite, "properties")
        closed, total = closure(result.coverage)
        about = {"seed": job.seed, **result.counts, "points": total, "points_closed": closed, "command": job.command}
        about |= {job.simulator: _version(job.simulator), **_evidence(job, result, failures, path)}
        for name, value in about.items():
            SubElement(properties, "property", name=name, value=str(value))
        for outcome in result.outcomes:
            names = {"classname": f"{job.simulator}.{job.config}", "name": outcome.name}
            case = SubElement(suite, "testcase", names, time=f"{outcome.seconds:.3f}")
            if outcome.failure:
                text = _NOT_XML.sub("?", outcome.failure)
                SubElement(case, "failure", message=text.splitlines()[0]).text = text
    ElementTree.indent(root)
    with replacing(path) as part:
        ElementTree.ElementTree(root).write(part, encoding="utf-8", xml_declaration=True)


REPORTS = {"junit.xml": write_junit, "coverage.json": write_coverage, "report.html": write_html}


def _merged(results: Results) -> dict[str, Hits]:
    """Return each configuration's coverage over all its simulators, for display: every job must close on its own."""
    configs = dict.fromkeys(job.config for job, result in results if result.coverage)
    return {config: merge(result.coverage for job, result in results if job.config == config) for config in configs}


def _closure(coverage: Hits) -> dict[str, Any]:
    closed, total = closure(coverage)
    return {
        "closed": closed,
        "total": total,
        "missing": {point: list(bins) for point, bins in missing(coverage).items()},
    }


def _points(kind: Environment, configs: dict[int, Hits]) -> tuple[list[Cell], list[list[Cell]]]:
    """Return heads and rows of one kind of design; configurations have their numbers in the list of all."""

    def hit_of_all(bins: dict[str, int] | None) -> Cell:
        if bins is None:
            return "-", "none"
        hit = sum(count > 0 for count in bins.values())
        return f"{hit}/{len(bins)}", "pass" if hit == len(bins) else "open"

    heads: list[Cell] = ["point", ("goal", "text"), *(f"[{number}]" for number in configs)]
    return heads, [
        [point.name, (point.goal, "text"), *(hit_of_all(hits.get(point.name)) for hits in configs.values())]
        for point in kind.points
    ]
