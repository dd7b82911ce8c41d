"""Quantization of a model's layers by rules on their names and types; the first rule that matches decides."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.nn.scheme import Scheme


@dataclass(frozen=True, kw_only=True)
class Rule:
    """The quantization of the layers that match.

    Args:
        pattern: Of the module's name, as a shell writes it: ``encoder.*.query``; ``*`` matches dots too.
        kind: Of the module; a subclass matches too.
        scheme: How the layers are quantized; None leaves them in float.
    """

    pattern: str = "*"
    kind: type[nn.Module] = nn.Module
    scheme: Scheme | None

    def matches(self, name: str, layer: nn.Module) -> bool:
        """Return whether the rule speaks of the layer."""
        return isinstance(layer, self.kind) and fnmatchcase(name, self.pattern)


def assign(
    layers: Mapping[str, nn.Module], default: Scheme, rules: Sequence[Rule] = (), skip: Iterable[str] = ()
) -> dict[str, Scheme | None]:
    """Return each layer's scheme by name; None for one that stays in float.

    Args:
        layers: By module name.
        default: Of the layers that no rule matches.
        rules: In the order in which they are asked.
        skip: Patterns of layers that stay in float, asked before the rules.

    Raises:
        InputError: If a rule or pattern matches no layer; the message lists near names.
    """
    ordered = [*(Rule(pattern=pattern, scheme=None) for pattern in skip), *rules]
    for rule in ordered:
        if not any(rule.matches(name, layer) for name, layer in layers.items()):
            of_kind = "" if rule.kind is nn.Module else f" of type {rule.kind.__name__}"
            raise InputError(
                f"pattern {rule.pattern!r}: matches no layer{of_kind} that can be quantized; "
                f"{did_you_mean(rule.pattern, layers)}"
            )
    everything = Rule(scheme=default)
    return {
        name: next(rule.scheme for rule in (*ordered, everything) if rule.matches(name, layer))
        for name, layer in layers.items()
    }
