"""The contract of a measure: figures of a configuration, as a pure function of it, of settings, and of versions."""

import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

import vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.contract.pe_config import Configuration
from vsq.synth.measure.records import Record


@dataclass(frozen=True, kw_only=True)
class Measure(ABC):
    """A measure with its settings, which are the fields; it is sent to workers, and loads what it needs there.

    Raises:
        InputError: If a setting is out of range.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    quantity: ClassVar[str]  # the one that designs are compared by; of the component ``total``
    higher_is_better: ClassVar[bool] = False
    noise: ClassVar[float] = 0.0  # figures that differ by no more are ties
    slack: ClassVar[float] = 0.0  # by which an estimate is taken to be off, as a share of it
    samples: ClassVar[int] = 0  # designs that are measured first, to fit estimates from their previews to
    layers: ClassVar[tuple[str, ...]] = ("golden",)  # of this package, whose sources the figures follow from
    packages: ClassVar[tuple[str, ...]] = ("numpy",)  # other packages that they follow from

    @abstractmethod
    def figures(self, config: Configuration) -> list[Record]:
        """Return the figures of a configuration, each with its unit.

        Raises:
            InputError: If the configuration has no such figure.
        """

    def subject(self, config: Configuration) -> Configuration:
        """Return the configuration whose figures those of ``config`` are: without options that do not matter."""
        return config

    def preview(self) -> "Measure | None":
        """Return a cheaper measure that figures can be estimated from: itself, if it is cheap; None, if there is none.

        With :attr:`samples` its figures are counts, and :mod:`vsq.explore.fit` finds what each costs; without, the
        estimate is the preview's own figure.
        """
        return self

    def doubt(self, look: Mapping[str, Any], figure: float) -> float:
        """Return by how much an estimated figure may be off, given the preview's entry: by default :attr:`slack`."""
        return self.slack * abs(figure)

    def inputs(self) -> dict[str, str]:
        """Return digests by name of the files that the figures follow from."""
        return {}

    def tools(self) -> dict[str, str]:
        """Return versions by name of the programs that the figures follow from."""
        return {}

    @cached_property
    def about(self) -> dict[str, Any]:
        """All that the figures of a configuration follow from, as JSON has it."""
        sources = {f"vsq.{layer}": _source_digest(layer) for layer in self.layers}
        sources["measure"] = file_digest(Path(inspect.getfile(type(self))))
        others = {package: _version(package) for package in self.packages}
        versions = sources | others | self.tools()
        return {"measure": self.name, "settings": asdict(self), "inputs": self.inputs(), "versions": versions}

    @property
    def column(self) -> str:
        """The heading of its figures: the quantity, and the settings that are not the default."""
        changed = self._changed()
        return f"{self.quantity} ({', '.join(changed)})" if changed else self.quantity

    def __str__(self) -> str:
        """The spelling that :meth:`parse` reads."""
        return ":".join(filter(None, (self.name, ",".join(self._changed()))))

    def _changed(self) -> list[str]:
        return [
            f"{each.name}={getattr(self, each.name):{'d' if each.type is bool else ''}}"
            for each in fields(self)
            if getattr(self, each.name) != each.default
        ]

    @classmethod
    def parse(cls, text: str) -> "Measure":
        """Read settings ``name=value,name=value``; the text may be empty.

        Raises:
            InputError: If a setting is unknown, malformed or out of range.
        """
        known, values = {each.name: each for each in fields(cls)}, dict[str, Any]()
        for item in text.split(",") if text else []:
            name, _, value = item.partition("=")
            if name not in known:
                raise InputError(f"{cls.name}: setting {item!r} is not known; {did_you_mean(name, known)}")
            if not value:
                raise InputError(f"{cls.name}: setting {item!r} is empty; write {name}=..., or leave it out")
            kind: Any = known[name].type
            try:
                values[name] = bool(("0", "1").index(value)) if kind is bool else kind(value)
            except ValueError:
                rule = "is neither 0 nor 1; write one of them"
                if kind is not bool:
                    rule = f"is no {kind.__name__}; write another value"
                raise InputError(f"{cls.name}: {item!r} {rule}") from None
        try:
            return cls(**values)
        except TypeError:
            lacking = [each.name for each in fields(cls) if each.name not in values and each.default is MISSING]
            example = ",".join(f"{name}=..." for name in lacking)
            raise InputError(
                f"{cls.name}: {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing; "
                f"write {cls.name}:{example}"
            ) from None


_NUMERIC = (
    *("weight", "activation", "weight_scale", "activation_scale"),
    *("vector_size", "scale_product_bits", "dual_precision"),
)


@cache
def numerics(config: Configuration) -> MacConfig:
    """Return a configuration with only those options that the values of a network depend on, all else by default.

    Its accumulator is as given if the default would be too wide.
    """
    mac = config.mac
    values = {name: getattr(mac, name) for name in _NUMERIC}
    try:
        plain = MacConfig(**values)
    except InputError:
        widths = ("accumulator_bits", "max_vectors", "window")
        plain = MacConfig(**values, **{name: getattr(mac, name) for name in widths})
    return replace(plain, rounding=mac.rounding) if mac.scale_shift else plain


def file_digest(path: Path) -> str:
    """Return a digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@cache
def _source_digest(layer: str) -> str:
    """Return a digest of the sources of a layer: a figure is measured again when any of them changes."""
    root = Path(vsq.__file__).parent / layer
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".lib", ".v", ".cpp"):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
