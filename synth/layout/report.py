"""Layouts of several MACs beside each other, without and with their wires: tables, ratios and records."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from statistics import mean
from typing import Any

from rich.table import Table

from vsq.golden.contract.config import MacConfig
from vsq.synth.layout.layout import Layout, file_name
from vsq.synth.measure.area import baseline_of
from vsq.synth.measure.energy import Setup
from vsq.synth.report.comparison import plain_table, shown

_Figure = Callable[[Layout], float]
_COMPARED: dict[str, tuple[_Figure | None, _Figure]] = {  # without wires, and with them
    "area": (lambda one: one.cell_area, lambda one: one.core_area),
    "wire length": (None, lambda one: one.wire_length),
    "critical path": (lambda one: one.paths[0].delay, lambda one: one.paths[1].delay),
    "energy": (lambda one: one.joules[0], lambda one: one.joules[1]),
}
_SCOPE = "Cells and wires of one lane, {library}, no clock tree."
_PROCESS = {"osu018_stdcells": "180 nm"}


@dataclass(frozen=True, kw_only=True)
class LayoutReport:
    """Layouts by design and seed, in the order given.

    Attributes:
        setup: How energy was measured, and the flow.
        layouts: Those that hold.
        refused: By design and seed, why there are no figures of it.
        tools: Versions.
    """

    setup: Setup
    routed: bool
    layouts: list[Layout]
    refused: dict[tuple[MacConfig, int], str] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        """A sentence on what the figures are of."""
        name = self.setup.flow.library.name
        return _SCOPE.format(library=_PROCESS.get(name, f"library {name}"))

    def tables(self) -> list[Table]:
        """Return the figures, and where a baseline is among the designs the ratios to it; means over the seeds."""
        return [self._figures(), *([self._ratios()] if self._beside() else [])]

    def _figures(self) -> Table:
        kind = "routed" if self.routed else "wires estimated from the placement"
        table = plain_table(
            f"Layouts, library {self.setup.flow.library.name}, {kind}",
            f"{self.scope} Core: um2 of rows of cells; ns: critical path; pJ: energy of a multiply-accumulate on data "
            f"{self.setup.source}; each of the cells only, then with wires.",
            (
                *("seed", "core", "used", "wire mm", *(["vias"] if self.routed else []), "wire pF"),
                *("ns", "with wires", "pJ", "with wires "),
            ),
        )
        for one in self.layouts:
            paths = (shown(path.delay, ".2f") for path in one.paths)
            joules = (shown(joules * 1e12, ".3f") for joules in one.joules)
            table.add_row(
                one.config.full_name.replace(":", "\n", 1),
                *(str(one.seed), f"{one.core_area:,.0f}", f"{one.utilization:.1%}", f"{one.wire_length / 1000:.1f}"),
                *([f"{one.vias:,}"] if self.routed else []),
                *(f"{one.wire_capacitance * 1e12:.2f}", *paths, *joules),
            )
        return table

    def _ratios(self) -> Table:
        table = plain_table(
            "Ratios to the 8-bit design", "Means over the seeds.", ("cells only", "with wires", "wires add")
        )
        for config, figures in self._beside().items():
            table.add_row(config.full_name)
            for name, (without, within) in figures.items():
                added = within / without - 1 if without else None
                table.add_row(f"  {name}", shown(without), shown(within), shown(added, "+.1%"))
        return table

    def _beside(self) -> dict[MacConfig, dict[str, tuple[float | None, float]]]:
        """Return ratios to the baselines by design and figure, without wires, if it has a sense, and with them."""

        def ratio(figure: _Figure, config: MacConfig) -> float:
            mine, other = (
                [figure(one) for one in self.layouts if one.config == which] for which in (config, baseline_of(config))
            )
            return mean(mine) / mean(other)

        configs = dict.fromkeys(one.config for one in self.layouts)
        return {
            config: {
                name: (without and ratio(without, config), ratio(within, config))
                for name, (without, within) in _COMPARED.items()
            }
            for config in configs
            if config != baseline_of(config) in configs
        }

    def document(self) -> dict[str, Any]:
        """Return the tools, what was refused, and every figure by design and seed, for JSON."""
        return {
            "scope": self.scope,
            "tools": self.tools,
            "routed": self.routed,
            "data": self.setup.source,
            "refused": [
                {"configuration": config.full_name, "seed": seed, "reason": reason}
                for (config, seed), reason in self.refused.items()
            ],
            "layouts": [
                {
                    "configuration": one.config.full_name,
                    "seed": one.seed,
                    "name": file_name(one.config, one.seed, routed=one.routed),
                    "records": [*map(asdict, one.records())],
                }
                for one in self.layouts
            ],
            "ratios": [
                {"configuration": config.full_name, "figure": name, "cells only": without, "with wires": within}
                for config, figures in self._beside().items()
                for name, (without, within) in figures.items()
            ],
        }
