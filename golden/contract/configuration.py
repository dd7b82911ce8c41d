"""The configuration of a design, be it a vector MAC or a processing element, from an object or from text."""

from collections.abc import Iterable
from typing import Any

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig

Configuration = MacConfig | PeConfig


def configuration(design: Configuration | str, *, pe: bool = False, **options: Any) -> Configuration:
    """Return the configuration of a design: of a processing element if its text has an ``@``, else of a vector MAC.

    Args:
        design: A configuration, which is returned as it is, or a text.
        pe: Whether a text without ``@`` names a processing element too.
        options: Constructor arguments that win over those in the text; None leaves them alone.

    Raises:
        InputError: If the text is malformed or a value is out of range, if ``pe`` or options are given beside a
            configuration, or if ``design`` is neither a configuration nor a text.
    """
    if isinstance(design, str):
        return (PeConfig if pe or "@" in design else MacConfig).parse(design, **options)
    if not isinstance(design, Configuration):
        raise InputError(f"{design!r}: a configuration, or a text such as 4/4U/4/6 or 4/4/4/6@lanes=32, is needed")
    if pe or options:
        raise InputError(f"{design}: options change a text, not a configuration; use dataclasses.replace")
    return design


def several(designs: Configuration | str | Iterable[Configuration | str]) -> list[Configuration | str]:
    """Return designs as a list; one configuration, or one text, alone is a list of one."""
    return list(designs) if isinstance(designs, Iterable) and not isinstance(designs, str) else [designs]
