"""The points of a design space: configurations with braces, or a TOML file with constraints beside them.

    {3,4}/{4,8}/{4,6}/{6,10}:V={16,32},R={-,8}     every combination; an option of value - is left out
    {headline,nvfp4}                               presets
    4/4/4/6@reuse={1,2,4}                          processing elements

A file holds ``space``, a list of such texts, and ``where``, limits to properties of a configuration:

    space = ["{3,4,6,8}/{4,8}/{4,6}/{6,10}:R={-,8}"]
    [where]
    acc_bits = { max = 40 }
    "weight.bits" = { min = 4 }
    scale_product_bits = [8, "none"]
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import bracex

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, configuration

MAX_POINTS = 1_000_000


@dataclass(frozen=True)
class Space:
    """Configurations, each once, and how many combinations were left out, by reason."""

    points: list[Configuration] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def expand(text: str) -> list[str]:
    """Return every text that a text with braces stands for.

    Raises:
        InputError: If a brace is not closed, or if there are more than :data:`MAX_POINTS`.
    """
    if text.count("{") != text.count("}"):
        raise InputError(f"{text!r}: a brace is not closed; write for example {{3,4}}/8/-/-")
    try:
        return list(bracex.iexpand(text, limit=MAX_POINTS))
    except bracex.ExpansionLimitException:
        raise InputError(f"{text!r}: more than {MAX_POINTS:,} combinations; give a smaller space") from None


def read(texts: Sequence[str]) -> Space:
    """Return the space of several texts, each a configuration with braces or the name of a ``.toml`` file.

    Raises:
        InputError: If a text is malformed, a file cannot be read, or no combination is legal.
    """
    space = Space()
    seen = set[Configuration]()
    for text in texts:
        patterns, limits = _read_file(Path(text)) if text.endswith(".toml") else ([text], {})
        for pattern in patterns:
            for name in expand(pattern):
                try:
                    config = point(_without_empty_options(name))
                except InputError as error:
                    space.left_out[_reason(error, pattern == name)] += 1
                    continue
                if (broken := next((rule for rule, holds in limits.items() if not holds(config)), None)) is not None:
                    space.left_out[broken] += 1
                elif config not in seen:
                    seen.add(config)
                    space.points.append(config)
    if not space.points:
        reasons = "; ".join(space.left_out) or "it is empty"
        raise InputError(f"{' '.join(texts) or 'no space'}: no legal configuration ({reasons}); give another space")
    return space


def point(text: str) -> Configuration:
    """Return the configuration of a text; networks have formats that no hardware has yet, such as ``mxfp4``."""
    return configuration(text) if "@" in text else MacConfig.parse(text)


def _without_empty_options(name: str) -> str:
    """Return a configuration without its options of value ``-``, which stand for the default."""
    head, *tails = re.split(r"([:@])", name)
    for mark, tail in zip(tails[::2], tails[1::2], strict=True):
        kept = ",".join(item for item in tail.split(",") if not item.endswith("=-"))
        head += mark + kept if kept or mark == "@" else ""
    return head


def _reason(error: InputError, alone: bool) -> str:
    """Return why a combination is illegal, without its own name; a text without braces is simply wrong."""
    if alone:
        raise error
    reason = re.sub(r"^'[^']*'[:,] ", "", str(error).split("; ")[0])
    return reason if "W/A/ws/as" in reason else re.sub(r"\w+/\w+/[\w-]+/[^\s:,]+(:[^\s:]*)?", "it", reason)


def _read_file(path: Path) -> tuple[list[str], dict[str, Callable[[Configuration], bool]]]:
    """Return the texts and the limits of a file, each limit by its own text."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = getattr(error, "strerror", error)
        raise InputError(f"{path}: cannot be read ({reason}); give a TOML file with a list called space") from None
    patterns, where = content.pop("space", None), content.pop("where", {})
    if content or not isinstance(patterns, list) or not all(isinstance(each, str) for each in patterns):
        odd = f"{next(iter(content))!r} is not known" if content else "space is not a list of texts"
        raise InputError(f"{path}: {odd}; give space = [...] and [where] alone")
    if not isinstance(where, dict):
        raise InputError(f"{path}: where is not a table; write [where] and a line for each property")
    return patterns, dict(_limit(path, name, rule) for name, rule in where.items())


def _limit(path: Path, name: str, rule: Any) -> tuple[str, Callable[[Configuration], bool]]:
    """Return a limit's text, and whether a configuration keeps it."""
    if isinstance(rule, Mapping) and rule and {*rule} <= {"min", "max"}:
        low, high = rule.get("min", -float("inf")), rule.get("max", float("inf"))
        if any(isinstance(end, bool) or not isinstance(end, int | float) or end != end for end in (low, high)):
            raise InputError(f"{path}: {name} = {rule}: an end is no number; write for example {{ max = 40 }}")
        words = " and ".join(f"{word} {rule[end]}" for end, word in (("min", "below"), ("max", "above")) if end in rule)
        return f"{name} {words}", lambda config: low <= _number(path, name, config) <= high
    if isinstance(rule, list) and rule:
        allowed = {str(value).lower() for value in rule}
        return (
            f"{name} not {' or '.join(sorted(allowed))}",
            lambda config: str(_property(path, name, config)).lower() in allowed,
        )
    raise InputError(f"{path}: {name} = {rule!r}: not a limit; give a list of values, or {{ min = ..., max = ... }}")


def _number(path: Path, name: str, config: Configuration) -> float:
    """Return a property that is a number; none counts as 0."""
    value = _property(path, name, config)
    if value is not None and not isinstance(value, int | float):
        raise InputError(f"{path}: {name!r} of {config} is {value}, no number; give a list of values")
    return float(value or 0)


def _property(path: Path, name: str, config: Configuration) -> Any:
    """Return a property of a configuration, or of its vector MAC, such as ``acc_bits`` and ``weight.bits``.

    Those of a scale that is not there are None.
    """
    first, _, rest = name.partition(".")
    for owner in (config, config.mac):
        if rest and getattr(owner, first, "") is None:
            return None
        try:
            value = attrgetter(name)(owner)
        except AttributeError:
            continue
        if not callable(value):
            return value
    raise InputError(f"{path}: {name!r} is no property of {config}; give for example acc_bits or weight.bits")
