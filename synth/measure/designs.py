"""The designs of one comparison: all vector MACs, or all processing elements."""

from collections.abc import Iterable

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.configuration import Configuration, configuration, several
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig


def of_one_kind(
    designs: Configuration | str | Iterable[Configuration | str], *, pe: bool = False
) -> tuple[list[MacConfig], list[PeConfig]]:
    """Return the designs, in order, as vector MACs or as processing elements; the other list is empty.

    Parameters
    ----------
    designs
        Configurations, or texts of them; one of either alone is a list of one.
    pe
        Whether texts without ``@`` name processing elements too.

    Raises
    ------
    InputError
        If there is no design, if both kinds are there, or if a text is malformed.
    """
    found = [configuration(design, pe=pe and isinstance(design, str)) for design in several(designs)]
    macs = [config for config in found if isinstance(config, MacConfig)]
    elements = [config for config in found if not isinstance(config, MacConfig)]
    if macs and elements:
        raise InputError(
            f"{macs[0]} and {elements[0]}: a vector MAC is not compared with a processing element; give one kind"
        )
    if not found:
        raise InputError("no design: there is nothing to measure; give a configuration such as 4/4/4/6")
    return macs, elements
