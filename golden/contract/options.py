"""Options of a configuration: text form, checks, command line, tables and covering arrays follow from a declaration."""

import dataclasses
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from typing import Any

from vsq.golden.contract.errors import InputError

_SMALL = 8  # a range of so few numbers can be tried value by value


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: a whole number, a choice, or a switch, as its default says."""

    name: str  # of the field, and of the constructor's argument
    default: Any  # a member of an enumeration for a choice, a bool for a switch; None leaves a number to a rule
    about: str  # for help texts and tables
    key: str  # in a text, such as ``V`` of ``V=16``
    symbol: str | None = None  # of its value in a help text
    low: int = 1
    high: int | None = None  # None where only a rule of the configuration gives it
    limit: str = ""  # the upper limit in a table, where a rule gives it
    rule: str = ""  # the default in a table, where a rule gives it
    words: tuple[str, str] = ("0", "1")  # of a switch that is off, and on
    tried: tuple[Any, ...] | None = None  # by a regression; None for all values, where they are few

    @cached_property
    def values(self) -> tuple[Any, ...]:
        """Every value, where they are few; else empty."""
        if isinstance(self.default, StrEnum):
            return tuple(type(self.default))
        if isinstance(self.default, bool):
            return (False, True)
        if self.high is None or self.high - self.low >= _SMALL:
            return ()
        return tuple(range(self.low, self.high + 1))

    @property
    def limits(self) -> str:
        """The values of a number in words; empty for a choice or a switch."""
        if isinstance(self.default, StrEnum | bool):
            return ""
        return f"{self.low} to {self.limit or format(self.high, ',')}"

    @property
    def help(self) -> str:
        """Its meaning, and a number's limits, as a line of help."""
        return ", ".join(filter(None, (self.about.replace("`", ""), self.limits)))

    def spell(self, value: Any) -> str:
        """Return a value's text, as :meth:`read` reads it."""
        return self.words[value] if isinstance(self.default, bool) else str(value)

    def read(self, text: str) -> Any:
        """Return the value of a text; a text that is no number or word of a switch remains, for :meth:`check`."""
        if isinstance(self.default, bool):
            return self.words.index(text) if text in self.words else text
        return int(text) if re.fullmatch(r"[0-9]{1,15}", text) else text

    def check(self, value: Any) -> Any:
        """Return a value in its type, or raise an InputError; a choice may be a text, and a switch 0 or 1."""
        if isinstance(self.default, StrEnum | bool):
            if value not in self.values:
                switch = isinstance(self.default, bool)
                names = " or ".join(self.words) if switch else f"one of {', '.join(self.values)}"
                raise InputError(f"{self.key} = {value}: choose {names}")
            return self.values[self.values.index(value)]
        if value is None and self.default is None:
            return value
        if isinstance(value, bool) or not isinstance(value, int) or value < self.low or value > (self.high or value):
            most = f"to {self.high}" if self.high else "up"
            raise InputError(f"{self.key} = {value}: must be a whole number from {self.low} {most}; {self.about}")
        return value


def option(default: Any, about: str, **settings: Any) -> Any:
    """Return the field of a dataclass that is an option, with settings of :class:`Option`."""
    return dataclasses.field(default=default, metadata={"option": {"about": about, **settings}})


def declared(config: Any) -> tuple[Option, ...]:
    """Return the options of a configuration or of its class, in the order in which they are printed."""
    return _declared(config if isinstance(config, type) else type(config))


@cache
def _declared(kind: type) -> tuple[Option, ...]:
    return tuple(
        Option(name=field.name, default=field.default, **{"key": field.name, **field.metadata["option"]})
        for field in dataclasses.fields(kind)
        if "option" in field.metadata
    )


def factors(config: type) -> dict[str, tuple[Any, ...]]:
    """Return the values by name of the options that have few: what a regression tries in all pairs."""
    tried = {each.name: each.values if each.tried is None else each.tried for each in declared(config)}
    return {name: values for name, values in tried.items() if values}


def check_options(config: Any) -> None:
    """Check every option of a frozen configuration, and give it its type, by :meth:`Option.check`."""
    for each in declared(config):
        object.__setattr__(config, each.name, each.check(getattr(config, each.name)))


def read_options(config: type, tail: str, text: str) -> dict[str, Any]:
    """Return constructor arguments from ``key=value,key=value``, the tail of a text; it may be empty.

    Raises:
        InputError: If a key is unknown, has no value, or is given twice; :func:`check_options` checks the values.
    """
    known, values = {each.key: each for each in declared(config)}, dict[str, Any]()
    for item in tail.split(",") if tail else []:
        key, _, value = item.partition("=")
        if key in known and not value:
            default = known[key].default
            shown = known[key].spell(default if default is not None else known[key].low)
            raise InputError(f"{text!r}: option {key} has no value; write for example {key}={shown}")
        if key not in known:
            example = next(f"{each.key}={each.spell(each.default)}" for each in known.values() if each.default)
            raise InputError(f"{text!r}: option {item!r} is not one of {', '.join(known)}; write for example {example}")
        if known[key].name in values:
            raise InputError(f"{text!r}: option {key} is given twice; give it once")
        values[known[key].name] = known[key].read(value)
    return values


def spell_options(config: Any, **defaults: Any) -> str:
    """Return ``key=value,key=value`` of every option that is not at its default, or at the one given here."""
    pairs = [(each, getattr(config, each.name)) for each in declared(config)]
    changed = [(each, value) for each, value in pairs if value != defaults.get(each.name, each.default)]
    return ",".join(f"{each.key}={each.spell(value)}" for each, value in changed)


def table(config: type) -> str:
    """Return the options as a table in Markdown."""
    rows = ["| option | values | default | meaning |", "| --- | --- | --- | --- |"]
    for each in declared(config):
        values = each.limits or ", ".join(f"`{each.spell(value)}`" for value in each.values)
        default = each.rule if each.default is None else each.spell(each.default)
        rows.append(f"| `{each.key}` | {values} | {default} | {each.about} |")
    return "\n".join(rows)
