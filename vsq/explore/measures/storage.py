"""Bits that a stored value takes, its share of the vector's scale included."""

from dataclasses import dataclass

from vsq.explore.measures.measure import Measure, numerics
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.measure.records import Record, records


@dataclass(frozen=True, kw_only=True)
class StorageMeasure(Measure):
    """Bits a value: ``element bits + scale bits / V``, of weights and of activations; gammas are not counted."""

    name = "storage"
    summary = "bits a stored weight and activation takes, scales included"
    quantity = "bits a weight"

    def subject(self, config: Configuration) -> Configuration:
        """Return the configuration of the values alone."""
        return numerics(config)

    def figures(self, config: Configuration) -> list[Record]:
        """Return bits a weight, and bits an activation."""
        mac = config.mac
        sides = (
            ("bits a weight", mac.weight, mac.weight_scale),
            ("bits an activation", mac.activation, mac.activation_scale),
        )
        bits = [(name, element.bits + (scale.bits if scale else 0) / mac.vector_size) for name, element, scale in sides]
        return records(config.full_name, [("total", name, value, "bit") for name, value in bits])
