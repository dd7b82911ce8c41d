"""Expressions of Verilog, each as wide as the value that it stands for.

Verilog extends operands to the width of what surrounds them, and makes them all unsigned if one is; RTLIL does neither.
So operands are extended here, to the width of the result or of each other, and every expression has the width of its
context. What depends on signs (``*``, ``<``, ``>>>``) says ``$signed`` of each operand that is not declared so.
"""

from typing import NamedTuple

from vsq.hw.emit.verilog.netlist import REDUCTIONS, SHIFTS, NamedNetlist, runs
from vsq.hw.emit.verilog.rtlil import Bits, Net, RtlilCell

_BINARY = {
    "$and": "&",
    "$or": "|",
    "$xor": "^",
    "$add": "+",
    "$sub": "-",
    "$mul": "*",
    "$eq": "==",
    "$ne": "!=",
    "$lt": "<",
    "$le": "<=",
    "$gt": ">",
    "$ge": ">=",
    "$shr": ">>",
    "$sshr": ">>>",
}
_UNARY = {
    "$not": "~",
    "$neg": "-",
    "$logic_not": "~",
    "$reduce_and": "&",
    "$reduce_or": "|",
    "$reduce_bool": "|",
    "$reduce_xor": "^",
}
_WORDS = {
    "$add": "sum",
    "$sub": "difference",
    "$mul": "product",
    "$neg": "negated",
    "$not": "not",
    "$and": "and",
    "$or": "or",
    "$xor": "xor",
    "$mux": "choice",
    "$eq": "equal",
    "$ne": "differs",
    "$reduce_and": "all",
    "$reduce_or": "any",
    "$reduce_bool": "any",
    "$shr": "shifted",
    "$sshr": "shifted",
}
_SIGN_MATTERS = ("$mul", "$lt", "$le", "$gt", "$ge")
_ASSOCIATIVE = ("&", "|", "^")
_DECIMALS = 10  # bits up to which a constant is decimal


class Text(NamedTuple):
    """An expression and its outermost operator, which is empty for names, slices, lists and calls."""

    text: str
    sign: str = ""


class Expressions:
    """Writes values of a netlist."""

    def __init__(self, netlist: NamedNetlist) -> None:
        self._netlist, self._invented = netlist, _invented_names(netlist)

    def name(self, wire: str) -> str:
        """Return the name of a wire in Verilog."""
        return self._invented.get(wire, wire)

    def __call__(self, bits: Bits) -> str:
        """Return bits as an expression."""
        return self._text(bits).text

    def definition(self, bits: Bits) -> str:
        """Return bits as an expression, but not by a name of their own."""
        (first, count), *others = runs(bits)
        return (self._listed(bits) if others or count > 1 else self._slice(first)).text

    def operator(self, cell: RtlilCell) -> str:
        """Return the expression of an operator."""
        return self._operator(cell).text

    def _text(self, bits: Bits) -> Text:
        name = self._netlist.spoken.get(bits)
        return Text(name) if name else self._listed(bits)

    def _listed(self, bits: Bits) -> Text:
        (first, count), *others = runs(bits)
        if count == 1 and not others:
            return self._part(first)
        parts = [
            f"{{{count}{{{self._part(part).text}}}}}" if count > 1 else self._part(part).text
            for part, count in runs(bits)
        ]
        return Text(parts[0] if len(parts) == 1 else "{" + ", ".join(_repeated(parts)) + "}")

    def _part(self, bits: Bits) -> Text:
        """Return one slice, constant or folded operator."""
        if bits in self._netlist.folded:
            return self._operator(self._netlist.folded[bits])
        if bits in self._netlist.spoken:
            return Text(self._netlist.spoken[bits])
        return self._slice(bits)

    def _slice(self, bits: Bits) -> Text:
        """Return a slice of a wire, or a constant."""
        low, high = bits[0], bits[-1]
        if not isinstance(low, Net) or not isinstance(high, Net):
            return Text(literal(bits))
        name = self.name(low.wire)
        if self._netlist.module.wires[low.wire].width == len(bits):
            return Text(name)
        return Text(f"{name}[{high.bit}" + (f":{low.bit}]" if len(bits) > 1 else "]"))

    def _operator(self, cell: RtlilCell) -> Text:
        operands = self._netlist.operands(cell)
        if cell.kind == "$mux":
            condition, choice = self._operand(operands["S"], "?"), self._operand(operands["B"], "?")
            return Text(f"{condition} ? {choice} : {self(operands['A'])}", "?")
        if cell.kind == "$ne" and set(operands["B"]) == {"0"} and len(list(runs(operands["A"]))) > 1:
            return self._reduction("|", operands["A"])
        if cell.kind in REDUCTIONS and cell.kind != "$logic_not":
            return self._reduction(_UNARY[cell.kind], operands["A"])
        if cell.kind in _UNARY:
            return Text(_UNARY[cell.kind] + self._operand(operands["A"], "~"), "~")
        sign, left, right = _BINARY[cell.kind], operands["A"], operands["B"]
        if cell.kind in _SIGN_MATTERS:
            signed = cell.is_signed("A", "B")
            return Text(f"{self._as(left, signed)} {sign} {self._as(right, signed)}", sign)
        if cell.kind in SHIFTS:
            signed = cell.kind == "$sshr" and cell.is_signed("A")
            return Text(f"{self._as(left, signed)} {sign} {self._operand(right, sign)}", sign)
        if sign in _ASSOCIATIVE and self._text(right).sign == sign:
            left, right = right, left  # a ^ b ^ c is (a ^ b) ^ c
        last = self._text(right)
        second = f"({last.text})" if last.sign == sign else self._operand(right, sign)
        return Text(f"{self._operand(left, sign)} {sign} {second}", sign)

    def _reduction(self, sign: str, bits: Bits) -> Text:
        """Return the reduction of bits; that of single bits is an operator between them."""
        parts = list(runs(bits))
        if len(parts) > 1 and all(len(part) == count == 1 for part, count in parts):
            return Text(f" {sign} ".join(self._operand(part, sign) for part, _ in parts), sign)
        return Text(sign + self._operand(bits, "~"), "r")

    def _operand(self, bits: Bits, sign: str) -> str:
        """Return bits as an operand of an operator, in parentheses unless they bind more tightly."""
        text = self._text(bits)
        plain = not text.sign or (text.sign == "~" and sign != "~") or (text.sign == sign and sign in _ASSOCIATIVE)
        return text.text if plain else f"({text.text})"

    def _as(self, bits: Bits, signed: bool) -> str:
        """Return an operand that is signed, or one that is not."""
        text = self._operand(bits, "~")
        whole = self._netlist.spoken.get(bits) or next((bit.wire for bit in bits[:1] if isinstance(bit, Net)), "")
        wire = self._netlist.module.wires.get(whole)
        declared = bool(wire and wire.signed and text == self.name(whole))
        return text if signed == declared else f"${'signed' if signed else 'unsigned'}({text})"


def literal(bits: Bits) -> str:
    """Return a constant with its width."""
    width, text = len(bits), "".join(map(str, reversed(bits)))
    if set(bits) == {"x"} or "x" in bits or width == 1:
        return f"{width}'b{'x' if set(bits) == {'x'} else text}"
    value = int(text, 2)
    return f"{width}'d{value}" if width <= _DECIMALS or value < 1 << _DECIMALS else f"{width}'h{value:x}"


def _repeated(parts: list[str]) -> list[str]:
    """Return parts of a list, repetitions joined."""
    found: list[str] = []
    at = 0
    while at < len(parts):
        length, count = max(
            ((length, _count(parts, at, length)) for length in range(1, (len(parts) - at) // 2 + 1)),
            key=lambda pair: (pair[0] * (pair[1] - 1), -pair[0]),
            default=(1, 1),
        )
        if count == 1:
            length = 1
        group = ", ".join(parts[at : at + length])
        found.append(f"{{{count}{{{group}}}}}" if count > 1 else group)
        at += length * count
    return found


def _count(parts: list[str], at: int, length: int) -> int:
    """Return how often a group of parts stands there."""
    count = 1
    while parts[at + count * length : at + (count + 1) * length] == parts[at : at + length]:
        count += 1
    return count


def _invented_names(netlist: NamedNetlist) -> dict[str, str]:
    """Name the nets that no source has named: after what they lead to, and the operator that gives them."""
    taken = set(netlist.module.wires)
    names: dict[str, str] = {}
    for cell in netlist.cells:
        driven = [pin for pin in netlist.outputs(cell).values() if pin not in netlist.folded]
        for bits, wire in [(pin, bit.wire) for pin in driven for bit in pin if isinstance(bit, Net)]:
            if wire.startswith("$") and wire not in names:
                stem = f"{netlist.purpose(bits)}_{_WORDS.get(cell.kind, 'value')}"
                name = next(
                    name for name in (stem, *(f"{stem}{n}" for n in range(2, len(taken) + 3))) if name not in taken
                )
                taken.add(name)
                names[wire] = name
    return names
