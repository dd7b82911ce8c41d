"""The settings of one simulation, and what it hands back.

``VSQ_RUN`` names a JSON file with ``config``, ``seed``, ``beats``, ``latency``, ``playback``, ``simulator`` and
``rtl``. Each test adds its counts to ``counts.json`` and its functional coverage to ``coverage.json`` in the working
folder.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.configuration import configuration
from vsq.tb.coverage.points import Hits, merge
from vsq.tb.designs import environment


class Run:
    """The settings of this simulation, and the counts and coverage that it hands back."""

    def __init__(self) -> None:
        settings: dict[str, Any] = json.loads(Path(os.environ["VSQ_RUN"]).read_text())
        self.config: Any = configuration(settings["config"])
        self.environment = environment(self.config)
        self.seed: int = settings["seed"]
        self.beats: int = settings["beats"]
        self.latency: int = settings["latency"]
        self.playback: str | None = settings["playback"]
        self.about = {name: settings[name] for name in ("config", "seed", "simulator", "rtl")}

    def rng(self, test: int) -> np.random.Generator:
        """Return a test's own generator."""
        return np.random.default_rng([self.seed, test])

    @property
    def coverage(self) -> Hits:
        """The coverage of this simulation so far, of all bins that the configuration can reach."""
        return merge([self.environment.reachable(self.config), _read("coverage.json")])

    @staticmethod
    def add_counts(counts: Mapping[str, int]) -> None:
        """Add to the counts of this simulation."""
        totals = _read("counts.json")
        totals.update((name, totals.get(name, 0) + count) for name, count in counts.items())
        Path("counts.json").write_text(json.dumps(totals))

    @staticmethod
    def add_coverage(hits: Hits) -> None:
        """Add to the coverage of this simulation."""
        Path("coverage.json").write_text(json.dumps(merge([_read("coverage.json"), hits])))


def _read(name: str) -> Any:
    path = Path(name)
    return json.loads(path.read_text()) if path.exists() else {}
