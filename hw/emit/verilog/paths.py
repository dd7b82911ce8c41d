"""Combinational paths: which inputs an output depends on within a cycle."""

from collections import defaultdict
from collections.abc import Mapping

from vsq.hw.emit.verilog.names import canonical
from vsq.hw.emit.verilog.netlist import BITWISE, NamedNetlist
from vsq.hw.emit.verilog.processes import is_clocked
from vsq.hw.emit.verilog.rtlil import Bit, RtlilCell


def combinational_paths(netlists: Mapping[str, NamedNetlist]) -> dict[str, list[str]]:
    """Return the outputs of the first module that depend on inputs within a cycle, and these inputs, in their order."""
    top, *_ = netlists
    found = _port_paths(netlists[top], netlists)
    inputs = [port.name for port in netlists[top].module.ports if port.direction == "input"]
    return {output: sorted(sources, key=inputs.index) for output, sources in found.items() if sources}


def _port_paths(netlist: NamedNetlist, netlists: Mapping[str, NamedNetlist]) -> dict[str, set[str]]:
    """Return the inputs that each output of a module depends on."""
    module = netlist.module
    reaching: defaultdict[Bit, set[str]] = defaultdict(set)
    for port in module.ports:
        if port.direction == "input":
            reaching |= {bit: {port.name} for bit in port.bits}
    kinds = sorted({cell.kind for cell in netlist.cells} & netlists.keys())
    inside = {kind: _port_paths(netlists[kind], netlists) for kind in kinds}
    edges = [edge for cell in netlist.cells if not is_clocked(cell) for edge in _edges(netlist, cell, inside)]
    size = -1
    while size != (size := sum(map(len, reaching.values()))):
        for source, result in edges:
            if reaching[source]:
                reaching[result] |= reaching[source]
    outputs = [port for port in module.ports if port.direction == "output"]
    return {port.name: set().union(*(reaching[bit] for bit in canonical(module, port.bits))) for port in outputs}


def _edges(
    netlist: NamedNetlist, cell: RtlilCell, inside: Mapping[str, Mapping[str, set[str]]]
) -> list[tuple[Bit, Bit]]:
    """Return pairs of a bit that a cell reads, and one that depends on it."""
    operands = netlist.operands(cell)
    edges: list[tuple[Bit, Bit]] = []
    for output, results in netlist.outputs(cell).items():
        for pin, bits in operands.items():
            if cell.kind in BITWISE and pin != "S":
                edges += zip(bits, results, strict=True)
            elif cell.kind not in inside or pin in inside[cell.kind][output]:
                edges += ((bit, result) for bit in bits for result in results)
    return edges
