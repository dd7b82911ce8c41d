"""The syntax of Liberty files: groups of attributes, and the Boolean expressions of ``function`` attributes."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field


class LibertySyntaxError(ValueError):
    """The text is not Liberty; the message says where and why."""


@dataclass
class Group:
    """``kind (arguments) { attribute : value; table (values); … group … }``; ``tables`` holds the values' texts."""

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The first argument."""
        return self.arguments[0] if self.arguments else ""

    def find(self, kind: str) -> list["Group"]:
        """Return the direct subgroups of this kind."""
        return [group for group in self.groups if group.kind == kind]


_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_STATEMENT = re.compile(
    r"""[\s;\\]*(?:
        (?P<group>[\w.\[\]-]+) \s* \( (?P<arguments>[^(){}]*) \) \s* \{
      | (?P<table>[\w.\[\]-]+) \s* \( (?P<values>[^()]*) \)
      | (?P<attribute>[\w.\[\]-]+) \s* : \s* (?: "(?P<quoted>[^"]*)" | (?P<plain>[^;{}\n"]*) )
      | (?P<close>\})
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


def parse(text: str) -> Group:
    """Return the ``library`` group of a Liberty text.

    Raises:
        LibertySyntaxError: If the text is malformed or holds no library.
    """
    text = _COMMENT.sub(lambda comment: "\n" * comment[0].count("\n"), text)
    stack = [Group(kind="file", arguments=())]
    position = 0
    while match := _STATEMENT.match(text, position):
        position = match.end()
        if match["group"]:
            arguments = tuple(part.strip(' \t\r\n\\"') for part in match["arguments"].split(","))
            group = Group(kind=match["group"], arguments=arguments)
            stack[-1].groups.append(group)
            stack.append(group)
        elif match["attribute"]:
            value = match["plain"] if match["quoted"] is None else match["quoted"]
            stack[-1].attributes[match["attribute"]] = value.strip()
        elif match["table"]:
            stack[-1].tables[match["table"]] = match["values"]
        elif match["end"] is not None:
            break
        elif len(stack) == 1:
            raise LibertySyntaxError(f"line {text.count(chr(10), 0, position) + 1} closes a group never opened")
        else:
            stack.pop()
    else:
        raise LibertySyntaxError(f"line {text.count(chr(10), 0, position) + 1} is no Liberty statement")
    if len(stack) > 1:
        raise LibertySyntaxError(f"it ends inside the group {stack[-1].kind} ({stack[-1].name})")
    libraries = stack[0].find("library")
    if len(libraries) != 1:
        raise LibertySyntaxError(f"it holds {len(libraries)} library groups where one is the rule")
    return libraries[0]


# Operators of two operands, from the loosest to the tightest; between operands that merely stand side by side is an &.
_OPERATORS = ({"+": operator.or_, "|": operator.or_}, {"&": operator.and_, "*": operator.and_}, {"^": operator.xor})
_SIGNS = "01!'^&*+|()"


def names(expression: str) -> set[str]:
    """Return the names that occur in the expression."""
    return {token for token in _tokens(expression) if token not in _SIGNS}


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
    columns |= {"0": 0, "1": ones}
    tokens = _tokens(expression)[::-1]  # the next one is the last

    def binary(level: int) -> int:
        if level == len(_OPERATORS):
            return operand()
        operators, value = _OPERATORS[level], binary(level + 1)
        while tokens and (tokens[-1] in operators or ("&" in operators and tokens[-1] not in "+|)")):
            apply = operators[tokens.pop()] if tokens[-1] in operators else operator.and_
            value = apply(value, binary(level + 1))
        return value

    def operand() -> int:
        token = tokens.pop() if tokens else ""
        if token == "!":
            return ones ^ operand()
        if token == "(":
            value = binary(0)
            if not tokens or tokens.pop() != ")":
                raise ValueError(f"function {expression!r}: a parenthesis is not closed")
        elif token in columns:
            value = columns[token]
        else:
            what = repr(token) if token else "its end"
            raise ValueError(f"function {expression!r}: {what} stands where an input pin should")
        while tokens and tokens[-1] == "'":
            tokens.pop()
            value ^= ones
        return value

    value = binary(0)
    if tokens:
        raise ValueError(f"function {expression!r}: {tokens[-1]!r} is left over")
    return value


def _tokens(expression: str) -> list[str]:
    tokens = re.findall(r"[A-Za-z_][\w\[\]]*|\S", expression)
    for token in tokens:
        if token not in _SIGNS and not re.match(r"[A-Za-z_]", token):
            raise ValueError(f"function {expression!r}: {token!r} is no operator")
    return tokens
