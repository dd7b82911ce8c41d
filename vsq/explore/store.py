"""Figures of an exploration, each point and measure in a file of its own: any number of runs may write side by side.

    FOLDER/ab/abcdef0123456789abcdef0123456789.json

The name is a digest of all that the figures follow from: configuration, measure, settings, digests of inputs and
sources, versions. So a file is never wrong, only no longer asked for; folders are merged by copying, and a run resumes
by leaving out what is there.
"""

import csv
import hashlib
import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from vsq.explore.measures.measure import Measure
from vsq.explore.space import point
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.golden.io.files import replacing, write_text
from vsq.synth.measure.records import Record

COLUMNS = ("configuration", "measure", "component", "quantity", "value", "unit", "failure", "seconds", "date", "key")


@dataclass(frozen=True)
class Task:
    """One measure of one configuration, given by its full name."""

    configuration: str
    measure: Measure

    @classmethod
    @cache
    def of(cls, config: Configuration, measure: Measure) -> "Task":
        """Return the task whose figures are those of a configuration."""
        return cls(measure.subject(config).full_name, measure)

    @cached_property
    def about(self) -> dict[str, Any]:
        """All that the figures follow from."""
        return {"configuration": self.configuration, **self.measure.about}

    @cached_property
    def key(self) -> str:
        """The digest of what the figures follow from."""
        return hashlib.sha256(json.dumps(self.about, sort_keys=True).encode()).hexdigest()[:32]

    def run(self) -> dict[str, Any]:
        """Measure; return the entry of the store, which holds the reason if there are no figures."""
        start = time.process_time()
        figures: dict[str, Any]
        try:
            figures = {"records": [asdict(each) for each in self.measure.figures(point(self.configuration))]}
            if odd := [record["quantity"] for record in figures["records"] if not math.isfinite(record["value"])]:
                figures = failure(f"{odd[0]} is not finite")
        except (Exception, SystemExit) as error:  # a point that fails is a result too
            figures = failure(f"{type(error).__name__}: {error}" if not isinstance(error, InputError) else str(error))
        date = datetime.now(UTC).isoformat(timespec="seconds")
        return {**self.about, **figures, "seconds": round(time.process_time() - start, 3), "date": date}


def failure(reason: str) -> dict[str, Any]:
    """Return the part of an entry that stands for a point that cannot be measured, the reason in one line."""
    return {"records": [], "failure": " ".join(reason.split())}


@dataclass(frozen=True)
class RecordStore:
    """A folder of entries, each written whole or not at all."""

    folder: Path

    def path(self, task: Task) -> Path:
        """Return the file of a task's entry."""
        return self.folder / task.key[:2] / f"{task.key}.json"

    def keep(self, task: Task, entry: dict[str, Any]) -> None:
        """Write an entry."""
        write_text(self.path(task), json.dumps(entry, indent=1) + "\n")

    def measure(self, task: Task) -> None:
        """Measure a task, unless another run has done so meanwhile, and write its entry."""
        if self.read(task) is None:
            self.keep(task, task.run())

    def give_up(self, task: Task, reason: str) -> None:
        """Write that a task, unless it has an entry, cannot be measured."""
        if self.read(task) is None:
            self.keep(task, {**task.about, **failure(reason), "seconds": 0.0, "date": ""})

    def read(self, task: Task) -> dict[str, Any] | None:
        """Return a task's entry; None if it is not there.

        Raises:
            InputError: If its file is damaged.
        """
        return _entry(path) if (path := self.path(task)).exists() else None

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every entry with its key, those of other settings and versions too."""
        for path in sorted(self.folder.glob("??/*.json")):
            yield path.stem, _entry(path)

    def failed(self, task: Task) -> bool:
        """Return whether the entry is there and holds a failure."""
        return "failure" in (self.read(task) or {})


def _entry(path: Path) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for record in entry["records"]:
            Record(**record)
        if missing := {"configuration", "measure", "settings", "seconds", "date"} - entry.keys():
            raise KeyError(*missing)
        if not entry["records"] and not isinstance(entry["failure"], str):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: no record of an exploration; remove it, and run again") from None
    return entry


def rows(entries: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Yield one row of :data:`COLUMNS` for each figure, and one for each failure."""
    for key, entry in entries:
        settings = ",".join(f"{name}={value}" for name, value in entry["settings"].items())
        shared = {
            "configuration": entry["configuration"],
            "measure": f"{entry['measure']}:{settings}" if settings else entry["measure"],
            "seconds": entry["seconds"],
            "date": entry["date"],
            "key": key,
        }
        for record in entry["records"] or [{"failure": entry["failure"]}]:
            yield dict.fromkeys(COLUMNS) | shared | {name: record[name] for name in record if name != "configuration"}


def export(entries: Iterable[tuple[str, dict[str, Any]]], path: Path) -> None:
    """Write a table of entries as ``.csv``, or as ``.parquet`` with pyarrow.

    Raises:
        InputError: If the suffix is another, or the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: a table ends in {' or '.join(SUFFIXES)}; give another name")
    table: Sequence[dict[str, Any]] = list(rows(entries))
    if path.suffix == ".csv":
        text = StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        write_text(path, text.getvalue())
        return
    import pyarrow
    from pyarrow import parquet

    with replacing(path) as part:
        parquet.write_table(pyarrow.table({name: [row[name] for row in table] for name in COLUMNS}), part)


SUFFIXES = (".csv", ".parquet")
