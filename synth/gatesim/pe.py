"""A layer's activity in a processing element, in steady state, with streams that keep up."""

from collections.abc import Iterator, Sequence

import numpy as np

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import matmul
from vsq.golden.model.mapping import fit_params
from vsq.golden.model.operand import BlockOperand
from vsq.golden.model.pe import Command, Streams
from vsq.golden.model.ppu import LaneParams
from vsq.synth.gatesim.netlist import Gates
from vsq.synth.gatesim.simulation import WORD, Activity, Simulation, Words, pack_codes
from vsq.synth.gatesim.workload import Operands
from vsq.synth.library.liberty import Library

_MEASURED = 2  # commands; weights are loaded for every other one
_COMMANDS = 3 + _MEASURED  # one is over before, and two are on their way when the last one is over
_WAIT = 10_000  # cycles without a result, after which the netlist is given up


def commands(config: PeConfig, data: Operands) -> list[Streams]:
    """Return the same commands with 64 different pieces of a layer's rows.

    Each command computes as many rows as the activation buffer holds (at most two for each lane) with as many of the
    layer's vectors as both buffers hold. Outputs are requantized, if there is post-processing, to their largest value.
    """
    lanes = config.lane_count
    channels, groups, _ = data.weights.codes.shape
    groups = min(groups, config.weight_depth, config.activation_depth)
    rows = min(config.activation_depth // groups, 2 * lanes)
    loads = [number % _MEASURED == 0 for number in range(_COMMANDS)]
    listed = [
        Command(
            rows=rows,
            vectors=groups,
            load_weights=load,
            load_params=load and config.ppu,
            requantize=config.ppu,
            relu=config.ppu and data.relu,
        )
        for load in loads
    ]
    tiles = sum(loads)
    channel = np.arange(tiles * lanes).reshape(tiles, 1, lanes) % channels
    group = np.arange(groups)[:, None]
    params = _params(config, data, groups) if config.ppu else None

    def piece(number: int) -> Streams:
        first = number * len(data.activations.codes) // WORD
        row = (first + np.arange(_COMMANDS * rows)) % len(data.activations.codes)
        return Streams(
            commands=listed,
            weights=data.weights.map(lambda array: array[channel, group].reshape(-1, *array.shape[2:])),
            activations=data.activations.map(lambda array: array[row, :groups].reshape(-1, *array.shape[2:])),
            params=None if params is None else params.map(lambda column: np.tile(column, tiles)),
        )

    return [piece(number) for number in range(WORD)]


def _params(config: PeConfig, data: Operands, groups: int) -> LaneParams:
    """Return parameters by which the largest accumulator becomes the largest z."""
    cut = (side.map(lambda array: array[:, :groups]) for side in (data.weights, data.activations))
    products = matmul(config.mac, *cut)
    factor = config.z_range[1] / max(1, int(np.abs(products.acc).max()))
    lanes = config.lane_count
    return fit_params(config, np.full(lanes, min(factor, 1.0)), np.zeros(lanes))


def activity(
    gates: Gates, library: Library, config: PeConfig, data: Operands, *, hazards: bool
) -> tuple[Activity, float]:
    """Return an element's activity in steady state, and the share of cycles in which its lanes take an operand.

    Counted are the cycles between the last results of the first command and of the last one but two.
    """
    streams = commands(config, data)
    simulation = Simulation(gates, library, hazards=hazards)
    finished = 0
    for _ in results(simulation, config, streams):
        if simulation.agreed("result_last"):
            if finished == 0:
                simulation.reset_counts()
            elif finished == _MEASURED:
                break
            finished += 1
    counted = simulation.activity()
    command = streams[0].commands[0]
    operands = _MEASURED * command.rows * command.vectors
    return counted, operands * WORD / counted.cycles


def results(simulation: Simulation, config: PeConfig, streams: Sequence[Streams]) -> Iterator[None]:
    """Play the streams; come back at each result, whose values are at the outputs, before the next clock edge.

    Raises:
        RuntimeError: If no result comes for 10,000 cycles.
    """
    ones = np.full((1, 1), ~np.uint64(0))
    simulation.drive("rst", ones)
    simulation.clock()
    simulation.drive("rst", ~ones)
    simulation.drive("result_ready", ones)
    beats = _ports(config, streams)
    position = dict.fromkeys(beats, 0)
    idle = 0
    while idle < _WAIT:
        for stream, ports in beats.items():
            at = position[stream]
            valid = all(at < len(words) for words in ports.values())
            simulation.drive(f"{stream}_valid", ones if valid else ~ones)
            if valid:
                for name, words in ports.items():
                    simulation.drive(f"{stream}_{name}", words[at])
        simulation.clock()
        for stream, ports in beats.items():
            waiting = position[stream] < len(next(iter(ports.values())))
            position[stream] += waiting and simulation.agreed(f"{stream}_ready")
        idle += 1
        if simulation.agreed("result_valid"):
            idle = 0
            yield
    raise RuntimeError(f"{config}: no result for {_WAIT} cycles")


def _ports(config: PeConfig, streams: Sequence[Streams]) -> dict[str, dict[str, Words]]:
    """Return the words [beats, width, 1] of every field of the input streams."""
    mac = config.mac
    listed = streams[0].commands
    loads = ["load_weights", "load_activations"] + (["load_params", "requantize", "relu"] if config.ppu else [])
    widths = {"rows": config.rows_bits, "vectors": config.vectors_bits, **dict.fromkeys(loads, 1)}
    ports = {
        "command": {
            name: pack_codes(np.tile([[int(getattr(command, name))] for command in listed], (WORD, 1, 1)), bits)
            for name, bits in widths.items()
        }
    }

    for side, element, scale in (
        ("weights", mac.weight, mac.weight_scale),
        ("activations", mac.activation, mac.activation_scale),
    ):
        operands: list[BlockOperand] = [getattr(part, side) for part in streams]
        codes = element.encode(np.array([operand.codes for operand in operands]))
        ports[side] = {"codes": pack_codes(codes, element.bits)}
        if scale:
            scales = np.array([operand.scales for operand in operands])[..., None]
            ports[side]["scale"] = pack_codes(scales, scale.bits)
    if config.ppu:
        bits = {"multiplier": config.multiplier_bits, "shift": config.shift_bits, "bias": config.bias_bits}
        ports["lane_params"] = {
            name: pack_codes(np.array([getattr(part.params, name) for part in streams])[..., None], width)
            for name, width in bits.items()
        }
    return ports
