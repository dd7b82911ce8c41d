"""What ``vsq area`` does: synthesis, a table, and a file."""

from argparse import Namespace
from decimal import Decimal, InvalidOperation

from rich.console import Console

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.contract.presets import resolve
from vsq.synth.flow.synthesis import Flow, Goal
from vsq.synth.library.liberty import Library
from vsq.synth.measure import pe_area
from vsq.synth.measure.area import measure
from vsq.synth.measure.records import Record, document, write_document
from vsq.synth.measure.timing import critical_paths, find_sta, pipeline_sweep
from vsq.synth.report.tables import area_table, pe_area_table, timing_table


def area(args: Namespace, console: Console) -> int:
    """Print the area of vector MACs or processing elements, and write it as JSON if asked."""
    flow = Flow(library=Library.load(args.liberty), goal=Goal(args.goal), flatten=args.flatten)
    records = _elements(args, flow, console) if args.pe else _macs(args, flow, console)
    for note in flow.library.notes:
        console.print(note, highlight=False, soft_wrap=True)
    if args.json:
        write_document(args.json, document("area", flow, records))
        print(args.json)
    return 0


def _macs(args: Namespace, flow: Flow, console: Console) -> list[Record]:
    configs = [resolve(name) for name in args.configs]
    if args.sweep_pipeline:
        configs = [point for config in configs for point in pipeline_sweep(config)]
    timing = args.timing or args.sweep_pipeline
    if timing:
        find_sta()
    areas = measure(configs, flow)
    records = [record for area in areas for record in area.records(flow.library.unit)]
    console.print(area_table(areas, flow))
    if timing:
        paths = [critical_paths(area.netlist, flow.library) for area in areas]
        console.print(timing_table(areas, paths, flow))
        for area, components in zip(areas, paths, strict=True):
            for component, path in components.items():
                records += path.records(area.config.full_name, component)
    return records


def _elements(args: Namespace, flow: Flow, console: Console) -> list[Record]:
    if args.timing or args.sweep_pipeline:
        raise InputError("--pe: critical paths are those of the vector MAC; leave out --pe, or use 'vsq report'")
    configs = [PeConfig.parse(name) for name in args.configs]
    areas = pe_area.measure(configs, flow, bit_area(args.bit_area))
    console.print(pe_area_table(areas, flow))
    return [record for area in areas for record in area.records(flow.library.unit)]


def bit_area(text: str) -> Decimal:
    """Return the area of a buffer bit that a user gives.

    Raises
    ------
    InputError
        If it is no number from 0.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite() or value < 0:
        raise InputError(f"bit area {text!r}: must be a number from 0, in two-input NANDs; give for example 1")
    return value
