"""Timing constraints in SDC, and LibreLane's configuration, for the frequency that is asked for."""

import json
from collections.abc import Sequence

from vsq.hw.emit.companions.words import Manifest

_SDC = """# Timing constraints of {name}: {title}
# To be edited: the period, in the library's unit of time (here nanoseconds), and the share of it that is spent outside.
set period {period}
set outside [expr 0.3 * $period]

create_clock -name {clock} -period $period [get_ports {clock}]
set_clock_uncertainty [expr 0.02 * $period] [get_clocks {clock}]
set_input_delay $outside -clock {clock} [get_ports {{{inputs}}}]
set_output_delay $outside -clock {clock} [get_ports {{{outputs}}}]
"""


def period_ns(manifest: Manifest) -> float:
    """Return the period of the clock in nanoseconds, to a picosecond."""
    period: float = 1000 / manifest["clock"]["frequency_mhz"]
    return round(period, 3)


def sdc(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.sdc``: clock, uncertainty, and delays of all other ports, in nanoseconds."""
    del bench
    clock = manifest["clock"]["port"]
    names = {
        direction: " ".join(
            port["name"] if port["width"] == 1 else f"{port['name']}[*]"
            for port in manifest["ports"]
            if port["direction"] == direction and port["name"] != clock
        )
        for direction in ("input", "output")
    }
    about = {key: manifest[key] for key in ("name", "title")}
    text = _SDC.format(**about, clock=clock, period=period_ns(manifest), inputs=names["input"], outputs=names["output"])
    return {f"{manifest['name']}.sdc": text}


def librelane(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>_librelane.json``, LibreLane's configuration of the design.

    Source: LibreLane 3, "Design Configuration Files" and "Universal Flow Configuration Variables".
    """
    del bench
    about = {
        "meta": {"version": 2},
        "DESIGN_NAME": manifest["name"],
        "VERILOG_FILES": [f"dir::{manifest['name']}.v"],
        "CLOCK_PORT": manifest["clock"]["port"],
        "CLOCK_PERIOD": period_ns(manifest),
    }
    return {f"{manifest['name']}_librelane.json": json.dumps(about, indent=2) + "\n"}


def filelist(manifest: Manifest, bench: Sequence[str]) -> dict[str, str]:
    """Return ``<name>.f``, the list of Verilog files that simulators and linters take as ``-f``."""
    del bench
    return {f"{manifest['name']}.f": f"{manifest['name']}.v\n"}
