"""Placement by graywolf and routing by qrouter, through the scripts of qflow, with any library that has LEF."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from vsq.golden.contract.errors import InputError
from vsq.synth.layout.lef import Lef

PACKAGES = "qflow graywolf qrouter qflow-tech-osu018 opensta"
TOP = "mac"  # of the files

_PROGRAMS = ("tcsh", "graywolf", "qrouter")
_FOLDERS = (Path("/usr/lib/qflow"), Path("/usr/share/qflow"), Path("/usr/local/share/qflow"))
_TROUBLE = re.compile(r"error|fail|can't|cannot|no such", re.IGNORECASE)
_VARIABLES = """#!/bin/tcsh -f
set projectpath={folder}
set techdir={folder}
set techname=cells
set sourcedir={folder}
set synthdir={folder}
set layoutdir={folder}
set logdir={folder}/log
set scriptdir={qflow}/scripts
set bindir={qflow}/bin
"""


@dataclass(frozen=True, kw_only=True)
class PlaceAndRoute:
    """A netlist in BLIF to be placed, and routed or not, with the seed of the annealing."""

    blif: str
    lef: Lef
    seed: int
    route: bool

    def files(self) -> dict[str, str]:
        """Return the files of the tools by name; ``{folder}`` and ``{qflow}`` stand for places."""
        lef = self.lef
        assert lef.filler is not None
        # Stacked vias leave the router the fewest nets open. Stripes of the supply cross the rows.
        technology = {
            "leffile": "{folder}/cells.lef",
            **dict.fromkeys(("techleffile", "spicefile", "libertyfile"), '""'),
            "fillcell": lef.filler.name,
            "vddnet": lef.supply("POWER"),
            "gndnet": lef.supply("GROUND"),
            "via_stacks": "all",
            "addspacers_options": f'"-stripe {lef.filler.height / 5:.3f} {lef.filler.height * 5:.3f} PG"',
        }
        return {
            "qflow_vars.sh": _VARIABLES,
            "cells.sh": "".join(f"set {name}={value}\n" for name, value in technology.items()),
            "cells.lef": lef.text,
            f"{TOP}.blif": self.blif,
            f"{TOP}.par": parameters(lef, self.seed),
            # Netlists that the scripts convert for tools which are not used here.
            **dict.fromkeys((f"{TOP}.rtl.v", f"{TOP}.rtlnopwr.v", f"{TOP}.rtlbb.v", f"{TOP}.spc"), ""),
        }

    @property
    def digest(self) -> str:
        """A digest of all that the layout follows from, but for the tools' versions."""
        return hashlib.sha256(repr((self.route, sorted(self.files().items()))).encode()).hexdigest()[:16]


def find_tools() -> Path:
    """Return the folder of qflow; raise an InputError if it, or a program that its scripts call, is missing."""
    missing = [program for program in _PROGRAMS if not shutil.which(program)]
    found = [folder for folder in _FOLDERS if (folder / "scripts" / "placement.sh").is_file()]
    if not found:
        missing.append("qflow")
    if missing:
        raise InputError(f"layout: {', '.join(missing)} not found; install them: apt-get install {PACKAGES}")
    return found[0]


@cache
def versions() -> dict[str, str]:
    """Return the versions of the tools; of graywolf, which tells none, a digest of its program."""
    commands = {"qrouter": ("qrouter", "-v", "0", "-h"), "opensta": ("sta", "-version")}
    told = {
        name: subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()[-1]
        for name, command in commands.items()
    }
    graywolf = Path(shutil.which("graywolf") or "").read_bytes()
    return told | {"graywolf": hashlib.sha256(graywolf).hexdigest()[:16]}


def lay_out(job: PlaceAndRoute) -> str:
    """Return the layout as DEF; what is routed has wires, and what is placed alone has none.

    Raises:
        InputError: If a tool is missing, or leaves no layout; the message has its own words.
    """
    qflow = find_tools()
    # graywolf draws what it does where there is a display.
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    with tempfile.TemporaryDirectory(prefix="vsq-qflow-") as folder:
        for name, text in job.files().items():
            Path(folder, name).write_text(text.replace("{folder}", folder).replace("{qflow}", str(qflow)))
        Path(folder, "log").mkdir()
        Path(folder, "log", "synth.log").write_text("done\n")

        def run(log: str, made: str, *command: str) -> None:
            """Run a tool, which must leave a file: its exit code says little."""
            with open(Path(folder, log), "w") as output:
                subprocess.run(
                    command,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    check=False,
                )
            if not Path(folder, made).is_file():
                texts = (Path(folder, place).read_text(errors="replace") for place in (log, "log/place.log"))
                lines = [line for text in texts for line in text.splitlines() if _TROUBLE.search(line)]
                raise InputError(
                    f"layout: {command[0]} leaves no {made} ({lines[0].strip() if lines else 'it says nothing'}); "
                    "try another seed, or check the LEF"
                )

        run("place.out", f"{TOP}.cfg", "tcsh", "-f", str(qflow / "scripts" / "placement.sh"), "-d", folder, TOP)
        if job.route:
            # The router's script would only convert the result for other tools.
            run("route.out", f"{TOP}_route.def", "qrouter", "-nog", "-s", f"{TOP}.cfg")
        return Path(folder, f"{TOP}_route.def" if job.route else f"{TOP}.def").read_text()


def parameters(lef: Lef, seed: int) -> str:
    """Return graywolf's parameters: its grid is that of the routes on the two lowest metals."""
    scale, layers = lef.scale, lef.layers[:4]
    rules = [
        f"layer {layer.name} {layer.sheet_resistance:g} {layer.area_capacitance * 1e15:g} "
        f"{'horizontal' if layer.horizontal else 'vertical'}"
        for layer in layers
    ]
    vias = [(f"via{number}{number + 1}", *both) for number, both in enumerate(pairwise(layers), start=1)]
    rules += [f"via {name} {lower.name} {upper.name}" for name, lower, upper in vias]
    rules += [f"width {layer.name} {layer.width * scale:.0f}" for layer in layers]
    rules += [f"width {name} {lower.width * scale:.0f}" for name, lower, _ in vias]
    rules += [f"spacing {layer.name} {layer.name} {(layer.pitch - layer.width) * scale:.0f}" for layer in layers]
    rules += [f"spacing {vias[n][0]} {vias[n + 1][0]} 0" for n in range(len(vias) - 1)]
    rules += [f"overhang {name} {layer.name} 0" for name, lower, upper in vias for layer in (lower, upper)]
    across = next(layer.pitch for layer in lef.layers if not layer.horizontal) * scale
    up = next(layer.pitch for layer in lef.layers if layer.horizontal) * scale
    assert lef.filler is not None
    lines = [
        "RULES",
        *rules,
        "ENDRULES",
        "*vertical_wire_weight : 1.0",
        "*vertical_path_weight : 1.0",
        "*padspacing : variable",
        "*rowSep : 0.0 0",
        f"*track.pitch : {across:.0f}",
        f"*minimum_pad_space : {1.5 * across:.0f}",
        f"*gridX : {across:.0f}",
        f"*gridY : {up:.0f}",
        "*gridOffsetX : 0",
        "*gridOffsetY : 0",
        "*graphics.wait : off",
        "*last_chance.wait : off",
        f"*random.seed : {seed}",
        "TWMC*chip.aspect.ratio : 0.75",
        f"TWSC*feedThruWidth : {lef.filler.width * scale:.0f} layer 1",
        "TWSC*do.global.route : on",
        "TWSC*ignore_feeds : true",
        "TWSC*call_row_evener : true",
        "TWSC*even_rows_maximally : true",
        "GENR*row_to_tile_spacing : 1",
        "GENR*flip_alternate_rows : 1",
    ]
    return "\n".join(lines) + "\n"
