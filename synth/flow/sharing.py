"""Modules that several designs share, such as the dot product of all scale formats, mapped once."""

import re
from collections.abc import MutableMapping

from vsq.synth.flow.netlist import Netlist
from vsq.synth.flow.synthesis import Flow, synthesize

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module \\(\S+)\n.*?^end\n", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^ *cell \\(\S+) ", re.MULTILINE)
_PORT = re.compile(r"^ *wire .*\b(?:input|output|inout) .*\n", re.MULTILINE)

Known = MutableMapping[tuple[Flow, str], dict[str, int]]  # cells of a module, by the flow and the module's text


def synthesize_new(rtlil: str, top: str, flow: Flow, known: Known) -> Netlist:
    """Map a design but for those of its modules that are in ``known``, to which the others are added.

    Only modules without modules inside are shared; what they contain is not in the netlist's Verilog. Names of modules
    count: designs that share any have the same ``top``. Areas differ from those of :func:`synthesize` by ABC's noise,
    which depends on what else is mapped (0.04 % were seen).

    Raises:
        InputError: As :func:`synthesize` does.
    """
    texts = {match[1]: match[0] for match in _MODULE.finditer(rtlil)}
    leaves = {name: (flow, text) for name, text in texts.items() if not {*_CELL.findall(text)} & {*texts}}
    leaves.pop(top, None)
    shared = {name: known[key] for name, key in leaves.items() if key in known}
    rest = _MODULE.sub(lambda module: _hollow(module[0]) if module[1] in shared else module[0], rtlil)
    netlist = synthesize(rest, top, flow)
    known.update({key: netlist.modules[name] for name, key in leaves.items() if name not in shared})
    return Netlist(top=top, modules=netlist.modules | shared, verilog=netlist.verilog)


def _hollow(module: str) -> str:
    """Return a module with its ports alone."""
    head = module[: module.index("\n", module.index("module \\")) + 1]
    return f"attribute \\blackbox 1\n{head}{''.join(_PORT.findall(module))}end\n"
