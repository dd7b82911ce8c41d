"""Amendments to published libraries: right areas, and cells that no mapper may take."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

# Areas that a published library states wrongly, by library and cell: as published, and the width times height of the
# cell in the library's own LEF, which the area of an abutted cell is. A mapper that minimizes area is drawn to a cell
# that is stated too small. OSU's 180 nm library is that of Debian's qflow-tech-osu018 and of its other copies.
WRONG_AREAS = {"osu018_stdcells": {"LATCH": ("0", "56"), "NAND3X1": ("36", "32"), "OAI21X1": ("23", "32")}}

# Cells that are no logic though they have its functions, by library: SKY130's isolate power domains (an isolation cell
# is an AND), and drive probe pads. They are those that the OpenROAD flow scripts set aside for this library.
NOT_LOGIC = {"sky130_fd_sc_*": ("sky130_fd_sc_*__lpflow_*", "sky130_fd_sc_*__probe*")}

_NAME = re.compile(r'\blibrary\s*\(\s*"?([^\s")]*)')
_CELL = re.compile(r'\bcell\s*\(\s*"?([^\s")]+)"?\s*\)\s*\{')


def corrected(text: str) -> tuple[str, list[str]]:
    """Return the text with right areas, and ``CELL WRONG -> RIGHT`` for each; what somebody has corrected stays."""
    corrections: list[str] = []
    for cell, (wrong, right) in WRONG_AREAS.get(_name(text), {}).items():
        pattern = rf'(\bcell\s*\(\s*"?{cell}"?\s*\)\s*\{{[^{{}}]*?\barea\s*:\s*){wrong}(?:\.0*)?(?=\s*;)'
        text, count = re.subn(pattern, rf"\g<1>{right}", text)
        if count:
            corrections.append(f"{cell} {wrong} -> {right}")
    return text, corrections


def set_aside(text: str, patterns: Sequence[str]) -> tuple[str, dict[str, int]]:
    """Return the text with ``dont_use`` in all cells whose names match, and the number of matches of each pattern.

    The patterns are those given, with ``*``, ``?`` and ``[...]`` as in a shell, and the usual ones of the library.
    """
    name = _name(text)
    usual = [pattern for library, found in NOT_LOGIC.items() if fnmatchcase(name, library) for pattern in found]
    matches = dict.fromkeys([*patterns, *usual], 0)

    def marked(cell: re.Match[str]) -> str:
        hits = [pattern for pattern in matches if fnmatchcase(cell[1], pattern)]
        for pattern in hits:
            matches[pattern] += 1
        return f"{cell[0]} dont_use : true;" if hits else cell[0]

    return (_CELL.sub(marked, text) if matches else text), matches


def _name(text: str) -> str:
    name = _NAME.search(text)
    return name[1] if name else ""
