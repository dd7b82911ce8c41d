"""Rules that assign schemes to the layers of a network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.quantizer.scheme import Scheme


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The quantization of the layers that match; no scheme leaves them in float.

    Args:
        pattern: Of the name of a layer, or of a module around it, as a shell writes it: ``encoder.*.query``, ``head``;
            ``*`` matches dots too.
        kind: Of the layer, a subclass matches too.
        scheme: A scheme, or a configuration or its text, which stand for the scheme with all else as it is by default.

    Raises:
        InputError: If an argument is of another type.
    """

    pattern: str = "*"
    kind: type[nn.Module] = nn.Module
    scheme: Scheme | MacConfig | str | None

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise InputError(f"pattern {self.pattern!r}: must be a text; write a layer's name, in which * may stand")
        if not (isinstance(self.kind, type) and issubclass(self.kind, nn.Module)):
            raise InputError(f"kind {self.kind!r}: must be a type of module; give for example torch.nn.Linear")
        if self.scheme is not None:
            object.__setattr__(self, "scheme", Scheme.of(self.scheme))

    def matches(self, name: str, layer: nn.Module) -> bool:
        """Return whether the rule speaks of the layer."""
        parts = name.split(".")
        around = (".".join(parts[:count]) for count in range(1, len(parts) + 1))
        return isinstance(layer, self.kind) and any(fnmatchcase(part, self.pattern) for part in around)


def assign(
    layers: Mapping[str, nn.Module],
    default: Scheme,
    rules: Sequence[Rule] | Rule = (),
    skip: Iterable[str] | str = (),
) -> dict[str, Scheme | None]:
    """Return each layer's scheme by module name; None for one that stays in float.

    Args:
        default: Of the layers that no rule matches.
        rules: In the order in which they are asked, or a single one.
        skip: Patterns of layers that stay in float, asked before the rules; a text is one pattern.

    Raises:
        InputError: If a rule or pattern is of another type, or matches no layer; the message lists near names.
    """
    patterns = _several("skip", skip, str, "patterns such as 'head' or 'encoder.*'")
    ordered = [Rule(pattern=pattern, scheme=None) for pattern in patterns]
    ordered += _several("rules", rules, Rule, "vsq.Rule(pattern=..., scheme=...)")
    for rule in ordered:
        if not any(rule.matches(name, layer) for name, layer in layers.items()):
            of_kind = "" if rule.kind is nn.Module else f" of type {rule.kind.__name__}"
            raise InputError(
                f"pattern {rule.pattern!r}: matches no layer{of_kind} that can be quantized; "
                f"{did_you_mean(rule.pattern, layers)}"
            )
    ordered.append(Rule(scheme=default))
    chosen = {name: next(rule for rule in ordered if rule.matches(name, layer)) for name, layer in layers.items()}
    return {name: None if rule.scheme is None else Scheme.of(rule.scheme) for name, rule in chosen.items()}


def _several(name: str, values: Any, kind: type[Any], example: str) -> list[Any]:
    """Return what may be given as a single one."""
    several = [values] if isinstance(values, (kind, str)) or not isinstance(values, Iterable) else [*values]
    for value in several:
        if not isinstance(value, kind):
            raise InputError(f"{name} {value!r}: must be of type {kind.__name__}; give {example}")
    return several
