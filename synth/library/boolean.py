"""Boolean expressions as in Liberty's ``function`` attributes, evaluated to truth tables."""

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w\[\]]*)|([01])|([!'^&*+|()]))")


def names(expression: str) -> set[str]:
    """Return the names that occur in the expression."""
    return {token for token in _tokens(expression) if token[0].isalpha() or token[0] == "_"}


def truth_table(expression: str, inputs: Sequence[str]) -> int:
    """Return the truth table: bit i is the value where ``inputs[k]`` = bit k of i.

    The operators bind in Liberty's order: ``!`` (before) and ``'`` (after), ``^``, then AND (``&``, ``*`` or mere
    juxtaposition), then OR (``|`` or ``+``).

    Raises:
        ValueError: If the expression is malformed or names anything but ``inputs``.
    """
    size = 1 << len(inputs)
    ones = (1 << size) - 1
    # The column of input k repeats 2^k zeros and 2^k ones.
    columns = {name: sum(1 << i for i in range(size) if i >> k & 1) for k, name in enumerate(inputs)}
    tokens = _tokens(expression)
    at = 0

    def take(choices: str) -> bool:
        nonlocal at
        if at < len(tokens) and tokens[at] in choices:
            at += 1
            return True
        return False

    def disjunction() -> int:
        value = conjunction()
        while take("+|"):
            value |= conjunction()
        return value

    def conjunction() -> int:
        value = exclusive()
        while take("&*") or (at < len(tokens) and tokens[at] not in "+|^)'"):
            value &= exclusive()
        return value

    def exclusive() -> int:
        value = inversion()
        while take("^"):
            value ^= inversion()
        return value

    def inversion() -> int:
        if take("!"):
            return ones ^ inversion()
        value = atom()
        while take("'"):
            value ^= ones
        return value

    def atom() -> int:
        nonlocal at
        if take("("):
            value = disjunction()
            if not take(")"):
                raise ValueError(f"function {expression!r}: a parenthesis is not closed")
            return value
        if take("0"):
            return 0
        if take("1"):
            return ones
        if at < len(tokens) and tokens[at] in columns:
            at += 1
            return columns[tokens[at - 1]]
        what = repr(tokens[at]) if at < len(tokens) else "its end"
        raise ValueError(f"function {expression!r}: {what} stands where an input pin should")

    value = disjunction()
    if at < len(tokens):
        raise ValueError(f"function {expression!r}: {tokens[at]!r} is left over")
    return value


def _tokens(expression: str) -> list[str]:
    tokens, position = [], 0
    text = expression.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"function {expression!r}: {text[position:].strip()[0]!r} is no operator")
        tokens.append(match[match.lastindex or 0])
        position = match.end()
    return tokens
