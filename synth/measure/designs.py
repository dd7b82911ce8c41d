"""The designs of one comparison: all vector MACs, or all processing elements."""

from collections.abc import Iterable

from vsq.golden.contract.configuration import Configuration, configuration, several
from vsq.golden.contract.errors import InputError


def of_one_kind(
    designs: Configuration | str | Iterable[Configuration | str], *, pe: bool = False
) -> list[Configuration]:
    """Return the designs, in order: vector MACs, or processing elements.

    Args:
        designs: Configurations, or texts of them; one of either alone is a list of one.
        pe: Whether texts without ``@`` name processing elements too.

    Raises:
        InputError: If there is no design, if both kinds are there, or if a text is malformed.
    """
    found = [configuration(design, pe=pe and isinstance(design, str)) for design in several(designs)]
    if not found:
        raise InputError("no design: there is nothing to measure; give a configuration such as 4/4/4/6")
    firsts = {config.kind: config for config in reversed(found)}
    if len(firsts) > 1:
        raise InputError(
            f"{firsts['mac']} and {firsts['pe']}: a vector MAC is not compared with a processing element; give one kind"
        )
    return found
