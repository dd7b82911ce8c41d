"""Areas that a published library states wrongly: by its own LEF, an abutted cell's area is width times height.

OSU's 180 nm library (Debian's qflow-tech-osu018 and its other copies) gives three cells another area than its LEF does.
A mapper that minimizes area is drawn to the cell that is stated too small.
"""

import re

# By library and cell: the area as published, and width times height of the cell in the library's LEF.
WRONG_AREAS = {"osu018_stdcells": {"LATCH": ("0", "56"), "NAND3X1": ("36", "32"), "OAI21X1": ("23", "32")}}


def corrected(text: str) -> tuple[str, list[str]]:
    """Return a library's Liberty text with right areas, and ``CELL WRONG -> RIGHT`` for each correction.

    Only the published value is replaced: a file that somebody has corrected stays as it is.
    """
    corrections: list[str] = []
    name = re.search(r'\blibrary\s*\(\s*"?([^\s")]*)', text)
    for cell, (wrong, right) in WRONG_AREAS.get(name[1] if name else "", {}).items():
        pattern = rf'(\bcell\s*\(\s*"?{cell}"?\s*\)\s*\{{[^{{}}]*?\barea\s*:\s*){wrong}(?:\.0*)?(?=\s*;)'
        text, count = re.subn(pattern, rf"\g<1>{right}", text)
        if count:
            corrections.append(f"{cell} {wrong} -> {right}")
    return text, corrections
