"""Pictures of layouts: SVG with cells by component, and PNG and GDS by klayout."""

import tempfile
from pathlib import Path

from vsq.golden.io.files import replacing
from vsq.synth.layout.conductors import placement
from vsq.synth.layout.def_file import parse
from vsq.synth.layout.layout import Layout
from vsq.synth.layout.lef import Lef

_COLOURS = {"dot": "#1f6fb2", "scale": "#c8501e", "accumulator": "#3d8c40", "control": "#8a5bb0"}
_OTHER, _ROWS, _TEXT = "#7a8793", "#eef1f4", "#24303a"
_WIDTH, _MARGIN, _LEGEND = 900, 12, 34  # of the picture, around it, and below
_PNG = 1600


def svg(found: Layout, lef: Lef) -> str:
    """Return the cells as rectangles, coloured by the component of the datapath that they belong to."""
    layout = found.layout
    boxes = {}
    for name in found.parts:
        macro = lef.macros[layout.components[name].cell]
        boxes[name] = placement(layout, lef, name)((0, 0, macro.width, macro.height))
    left, bottom, right, top = layout.die
    ratio = (_WIDTH - 2 * _MARGIN) / (right - left)
    height = (top - bottom) * ratio + 2 * _MARGIN + _LEGEND

    def rectangle(box: tuple[int, int, int, int], colour: str, title: str = "") -> str:
        x, y = _MARGIN + (box[0] - left) * ratio, _MARGIN + (top - box[3]) * ratio
        size = f'width="{(box[2] - box[0]) * ratio:.2f}" height="{(box[3] - box[1]) * ratio:.2f}"'
        inside = f"<title>{title}</title>" if title else ""
        return f'<rect x="{x:.2f}" y="{y:.2f}" {size} fill="{colour}">{inside}</rect>'

    parts = sorted(set(found.parts.values()), key=lambda part: [*_COLOURS, part].index(part))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" font-family="sans-serif" '
        f'font-size="14" fill="{_TEXT}">',
        f"<title>{found.config.full_name}, seed {found.seed}</title>",
        rectangle(layout.die, _ROWS),
        '<g stroke="#fff" stroke-width="0.4">',
        *(
            rectangle(box, _COLOURS.get(found.parts[name], _OTHER), f"{name} ({found.parts[name]})")
            for name, box in boxes.items()
        ),
        "</g>",
    ]
    for place, part in enumerate(parts):
        x, y = _MARGIN + 130 * place, height - _LEGEND / 2
        lines.append(f'<rect x="{x}" y="{y - 9:.0f}" width="12" height="12" fill="{_COLOURS.get(part, _OTHER)}"/>')
        lines.append(f'<text x="{x + 18}" y="{y + 2:.0f}">{part}</text>')
    core = " x ".join(f"{length:.0f}" for length in found.core)
    lines.append(f'<text x="{_WIDTH - _MARGIN}" y="{height - _LEGEND / 2 + 2:.0f}" text-anchor="end">{core} um</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def by_klayout(text: str, lef: Lef, path: Path) -> None:
    """Write a layout, given as DEF, as GDS with cells by their LEF, or as PNG of all layers, by the file's suffix.

    Raises:
        ModuleNotFoundError: If klayout is not installed.
        InputError: If the file cannot be written.
    """
    from klayout import db, lay

    scale = parse(text).scale
    with tempfile.TemporaryDirectory(prefix="vsq-klayout-") as folder, replacing(path) as part:
        cells, wires = Path(folder, "cells.lef"), Path(folder, "layout.def")
        cells.write_text(lef.text)
        wires.write_text(text)
        options = db.LoadLayoutOptions()
        options.lefdef_config.lef_files = [str(cells)]
        options.lefdef_config.dbu = 1 / scale
        options.lefdef_config.read_lef_with_def = False
        options.lefdef_config.macro_resolution_mode = 1  # cells are what LEF has of them, also those with a FOREIGN
        whole = Path(folder, "whole.gds")
        layout = db.Layout()
        layout.read(str(wires), options)
        layout.write(str(whole))
        if path.suffix == ".gds":
            part.write_bytes(whole.read_bytes())
            return
        view = lay.LayoutView()
        view.load_layout(str(whole), True)
        for name, value in {"background-color": "#ffffff", "text-visible": "false", "grid-visible": "false"}.items():
            view.set_config(name, value)
        view.max_hier()
        view.zoom_fit()
        picture = Path(folder, "layout.png")
        view.save_image(str(picture), _PNG, _PNG * 3 // 4)
        part.write_bytes(picture.read_bytes())
