"""Clocked processes: registers of one clock and one reset, and memories, in the forms that synthesis tools know."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from vsq.hw.emit.verilog import rtlil
from vsq.hw.emit.verilog.expressions import Expressions, literal
from vsq.hw.emit.verilog.netlist import READ, REGISTERS, WRITE, NamedNetlist
from vsq.hw.emit.verilog.rtlil import RtlilCell

Lines = list[str]

_ASYNCHRONOUS = ("$adff", "$adffe")


def is_clocked(cell: RtlilCell) -> bool:
    """Whether a cell is a register, or an access of a memory at a clock edge."""
    return cell.kind in (*REGISTERS, WRITE) or (cell.kind == READ and bool(cell.number("CLK_ENABLE")))


def word(cell: RtlilCell, expression: Expressions) -> str:
    """Return the word of a memory that a cell reads or writes."""
    return f"{cell.parameters['MEMID'].removeprefix(chr(92))}[{expression(cell.pins['ADDR'])}]"


def processes(cells: Iterable[RtlilCell], netlist: NamedNetlist, expression: Expressions) -> Iterator[Lines]:
    """Yield the processes of clocked cells: one for the registers of each reset, one for each memory."""
    groups: defaultdict[tuple[str, str, str], list[RtlilCell]] = defaultdict(list)
    for cell in cells:
        event, reset = f"posedge {expression(cell.pins['CLK'])}", ""
        if cell.kind in ("$sdff", "$sdffe"):
            reset = _condition(cell, "SRST", netlist, expression)
        elif cell.kind in _ASYNCHRONOUS:
            reset = _condition(cell, "ARST", netlist, expression)
            event += f" or {'negedge' if reset.startswith('!') else 'posedge'} {expression(cell.pins['ARST'])}"
        groups[event, cell.parameters.get("MEMID", ""), reset].append(cell)
    for (event, _, reset), group in groups.items():
        enabled: defaultdict[str, list[Lines]] = defaultdict(list)
        for cell in group:
            enabled[_condition(cell, "EN", netlist, expression)].append([_assignment(cell, netlist, expression)])
        steps = [
            step
            for enable, lines in enabled.items()
            for step in ([_block(f"if ({enable})", lines)] if enable else lines)
        ]
        if reset:
            values = [[f"{expression.definition(cell.pins['Q'])} <= {_reset_value(cell)};"] for cell in group]
            steps = [_either(_block(f"if ({reset})", values), steps)]
        yield _block(f"always @({event})", steps)


def powered_up(cells: Iterable[RtlilCell], netlist: NamedNetlist, expression: Expressions) -> Lines:
    """Return the process that gives registers their values at power-up, if they have any."""
    values = {
        cell.pins["Q"]: [netlist.module.initial.get(bit, "x") for bit in cell.pins["Q"]]
        for cell in cells
        if "Q" in cell.pins
    }
    lines = [
        [f"{expression.definition(q)} = {literal(tuple(value))};"] for q, value in values.items() if "x" not in value
    ]
    return _block("initial", lines) if lines else []


def _condition(cell: RtlilCell, pin: str, netlist: NamedNetlist, expression: Expressions) -> str:
    """Return an enable or a reset as a condition, or nothing if the cell has none."""
    if pin not in cell.pins or cell.pins[pin][0] == "1":
        return ""
    text = expression(netlist.operands(cell)[pin])
    return (
        text
        if cell.kind in (READ, WRITE) or cell.number(f"{pin}_POLARITY")
        else f"!{text}"
        if text.isidentifier()
        else f"!({text})"
    )


def _reset_value(cell: RtlilCell) -> str:
    kind = "ARST" if cell.kind in _ASYNCHRONOUS else "SRST"
    return literal(rtlil.constant(cell.parameters[f"{kind}_VALUE"]))


def _assignment(cell: RtlilCell, netlist: NamedNetlist, expression: Expressions) -> str:
    if cell.kind == WRITE:
        return f"{word(cell, expression)} <= {expression(cell.pins['DATA'])};"
    if cell.kind == READ:
        return f"{expression.definition(cell.pins['DATA'])} <= {word(cell, expression)};"
    value = expression(cell.pins["D"])
    if cell.kind == "$sdffce":  # the reset acts only if the register is enabled
        value = f"{_condition(cell, 'SRST', netlist, expression)} ? {_reset_value(cell)} : {value}"
    return f"{expression.definition(cell.pins['Q'])} <= {value};"


def _block(head: str, statements: Sequence[Lines]) -> Lines:
    """Return statements under a condition or an event."""
    body = [f"  {line}" for statement in statements for line in statement]
    return [head, *body] if len(statements) == 1 else [f"{head} begin", *body, "end"]


def _either(condition: Lines, steps: Sequence[Lines]) -> Lines:
    """Return a conditional block and what is done otherwise."""
    otherwise = list(steps[0]) if len(steps) == 1 else _block("begin", steps)
    if len(steps) > 1:
        otherwise[0] = "begin"
    *first, last = condition
    joined = f"end else {otherwise[0]}" if last == "end" else f"else {otherwise[0]}"
    return [*first, *([] if last == "end" else [last]), joined, *otherwise[1:]]
