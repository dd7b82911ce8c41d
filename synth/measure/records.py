"""Measured figures as records with units, and the JSON documents that hold them."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, SupportsFloat

from vsq.golden.contract.distribution import VERSION
from vsq.golden.io.files import write_text
from vsq.synth.flow.synthesis import Flow


@dataclass(frozen=True)
class Record:
    """One figure: ``quantity`` of ``component`` (``total`` for the whole) of ``configuration``, in ``unit``."""

    configuration: str
    component: str
    quantity: str
    value: float
    unit: str


def records(configuration: str, figures: Iterable[tuple[str, str, SupportsFloat, str]]) -> list[Record]:
    """Return the figures of one configuration, each as component, quantity, value and unit."""
    return [
        Record(configuration, component, quantity, float(value), unit) for component, quantity, value, unit in figures
    ]


def heading(kind: str) -> dict[str, Any]:
    """Return what begins every document: its kind, the date, and the versions of the tools."""
    return {
        "kind": kind,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"vsq": VERSION, **{tool: version(tool) for tool in ("amaranth", "pyosys")}},
    }


def document(kind: str, flow: Flow, records: Iterable[Record]) -> dict[str, Any]:
    """Return the records with what produced them: date, tool versions, library and its digest, flow options."""
    library = flow.library
    return {
        **heading(kind),
        "library": {
            "name": library.name,
            "file": library.path.name,
            "sha256": library.digest,
            "corrections": library.corrections,
            "dont_use": list(library.dont_use),
        },
        "flow": {"goal": str(flow.goal), "flatten": flow.flatten},
        "records": [asdict(record) for record in records],
    }


def write_document(path: Path, document: dict[str, Any]) -> None:
    """Write a document as JSON, atomically."""
    write_text(path, json.dumps(document, indent=1) + "\n")
