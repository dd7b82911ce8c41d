"""Counts of what the generator describes: adders, bits that are made for them, registers. No synthesis is run."""

from collections import Counter
from dataclasses import dataclass

from amaranth.hdl import Fragment
from amaranth.lib import wiring

from vsq.explore.measures.measure import Measure
from vsq.golden.contract.config import Arithmetic, MacConfig, Overflow
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration
from vsq.hw.arithmetic.bitheap import recorded
from vsq.hw.mac import shapes
from vsq.hw.mac.accumulator import Accumulator
from vsq.hw.mac.datapath import DotProduct, ScalePath
from vsq.hw.mac.pipeline import dot_stages, scaled, term_stages
from vsq.synth.measure.records import Record, records

_ADDERS = ("full", "half", "parity")


@dataclass(frozen=True, kw_only=True)
class CountsMeasure(Measure):
    """Counts by component of a vector MAC, from which area and energy can be estimated without a netlist.

    Those of bit heaps are :attr:`vsq.hw.arithmetic.bitheap.BitHeap.counts`.
    """

    name = "counts"
    summary = "adders and other elements of a vector MAC as it is generated, without synthesis"
    quantity = "adders"
    layers = ("golden", "hw")
    packages = ("amaranth",)

    def figures(self, config: Configuration) -> list[Record]:
        """Return the number of adders, and all counts of each component."""
        if not isinstance(config, MacConfig):
            raise InputError(f"counts of {config.full_name}: vector MACs alone are counted; leave out what @ adds")
        config.check_hardware()
        if config.style != Arithmetic.BITHEAP:
            raise InputError(f"counts of {config.full_name}: only the style bitheap is counted; leave style out")
        found = {name: Counter({"components": 1}) + counts for name, counts in _counts(config).items()}
        adders = sum(count for counts in found.values() for name, count in counts.items() if name.startswith(_ADDERS))
        parts = [(part, name, count, "1") for part, counts in found.items() for name, count in sorted(counts.items())]
        return records(config.full_name, [("total", self.quantity, adders, "1"), *parts])


def _counts(config: MacConfig) -> dict[str, Counter[str]]:
    """Return the counts of the components that differ between configurations, and what control follows from."""
    d, p = shapes.dot_shape(config).width, config.acc_bits
    own = {
        "dot": Counter({"registers": d * bool(dot_stages(config))}),
        "accumulator": Counter({"registers": p, "clamped": p * (config.overflow == Overflow.SATURATE)}),
        "control": Counter({"stages": config.pipeline}),
    }
    kinds: dict[str, type[wiring.Component]] = {"dot": DotProduct, "accumulator": Accumulator}
    if scaled(config):
        kinds["scale"] = ScalePath
        r, t = shapes.significand_max(config).bit_length(), shapes.term_shape(config).width
        clamped = r * (shapes.rounded_max(config) > shapes.significand_max(config))
        own["scale"] = Counter(
            {
                "registers": r * dot_stages(config) + t * term_stages(config),
                "factor": r,
                "clamped": clamped,
                "dropped": config.scale_shift,
            }
        )
    for name, kind in kinds.items():
        with recorded() as heaps:
            Fragment.get(kind(config), None)
        own[name] += sum((heap.counts for heap in heaps), Counter())
    return own
