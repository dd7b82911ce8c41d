"""Clean-up of RTLIL as Amaranth writes it, as text."""

import re

_MODULE = re.compile(r"^(?:attribute [^\n]*\n)*module (\S+)\n(.*?)^end\n", flags=re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^  cell (\S+) .*?^  end\n", flags=re.MULTILINE | re.DOTALL)


def without_unused_resets(source: str) -> str:
    """Drop the reset port that Amaranth gives to every module with a clock from those that do not reset anything."""
    while True:
        bodies = re.findall(r"^module (\S+)\n(.*?)^end$", source, flags=re.MULTILINE | re.DOTALL)
        unused = {module for module, body in bodies if body.count("\\rst ") + body.count("\\rst\n") == 1}
        if not unused:
            return source
        kept, module, cell = [], "", ""
        for line in source.splitlines(keepends=True):
            words = line.split()
            if line.startswith("module "):
                module = words[1]
            elif words[:1] == ["cell"]:
                cell = words[1]
            port = module in unused and words[:1] == ["wire"] and words[-1] == "\\rst"
            connection = cell in unused and words[:2] == ["connect", "\\rst"]
            if not port and not connection:
                kept.append(line)
            if words == ["end"]:
                cell = ""
        source = "".join(kept)


def with_plain_port_names(source: str) -> str:
    """Rename ports whose names Amaranth made up, such as ``port$8215$20`` or ``d$1``, to ``port`` and a number.

    Yosys would make plain names of them in the module, and leave the connections of its instances as they are.
    """
    names: dict[str, dict[str, str]] = {}
    for module, body in _MODULE.findall(source):
        ports = re.findall(r"^  wire .*(?:input|output) (\d+)  (?:signed )?(\S*\$\S*)$", body, flags=re.MULTILINE)
        names[module] = {port: f"\\port{number}" for number, port in ports}

    def rename_own(match: re.Match[str]) -> str:
        own = names[match[1]]
        return (
            re.sub(r"\\[^\s\[\]]*\$[^\s\[\]]*", lambda name: own.get(name[0], name[0]), match[0]) if own else match[0]
        )

    def rename_connections(match: re.Match[str]) -> str:
        ports = names.get(match[1], {})
        return re.sub(
            r"^(    connect )(\S+)", lambda line: line[1] + ports.get(line[2], line[2]), match[0], flags=re.MULTILINE
        )

    # Connections first: a module may call a wire of its own as a part calls its port.
    return _MODULE.sub(rename_own, _CELL.sub(rename_connections, source))
