"""A layer in integers, and its activity in a vector MAC or a processing element, which takes it as fast as it can."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, PeConfig
from vsq.golden.formats.elements import Format
from vsq.golden.io.files import read_npz
from vsq.golden.model.datapath import BlockOperand, matmul
from vsq.golden.model.mapping import fit_params
from vsq.golden.model.pe import Command, Streams
from vsq.golden.model.readout import least_offsets
from vsq.golden.quantizer.core import Quantizer
from vsq.golden.stimulus.stream import Beats, layer
from vsq.golden.workloads.workload import WORKLOADS, load
from vsq.hw.emit.design import design
from vsq.synth.gatesim.simulation import WORD, Activity, Simulation, Words, pack_codes

_CHANNELS, _LENGTH, _ROWS = 32, 288, 1024  # of Gaussian data: the shape of the digits layer
_CYCLES = 96  # of a MAC, at least, in each stream
_MEASURED = 2  # commands of an element; weights are loaded for every other one
_COMMANDS = 3 + _MEASURED  # one is over before, and two are on their way when the last one is over
_WAIT = 10_000  # cycles without a result, after which the netlist is given up


@dataclass(frozen=True, eq=False)
class Operands:
    """A layer: weights [N, G, V], activations [M, G, V], and whether its outputs go through a ReLU."""

    weights: BlockOperand
    activations: BlockOperand
    relu: bool = False


def operands(config: MacConfig, source: str) -> Operands:
    """Return a layer, quantized for a configuration.

    The name of a workload is the layer of its ``sample``: of ``digits`` conv3 on 64 test images, of ``minilm`` the
    first query projection on the evaluation sentences. ``gaussian`` is normal weights and activations (their magnitudes
    for an unsigned format). Anything else is a NumPy file with float arrays ``weights`` [N, K] and ``inputs`` [M, K].

    Raises:
        InputError: If the file can not be read or has no such arrays, or what a source needs is not installed.
    """
    if source in WORKLOADS:
        chain, name = load(source).sample()
        layer = chain.layer(config, name)
        return Operands(layer.weights.operand(), layer.inputs.operand(), relu=chain.has_relu(name))
    if source == "gaussian":
        rng = np.random.default_rng(1)
        weights, rows = rng.standard_normal((_CHANNELS, _LENGTH)), rng.standard_normal((_ROWS, _LENGTH))
        rows = rows if config.activation.signed else np.abs(rows)
    else:
        try:
            arrays = read_npz(Path(source))
            weights, rows = arrays["weights"], arrays["inputs"]
        except (ValueError, KeyError):
            raise InputError(
                f"data {source}: not one of {', '.join(WORKLOADS)}, gaussian, nor an .npz file of weights [N, K] and "
                "inputs [M, K]; give one of these"
            ) from None
        if weights.ndim != 2 or rows.ndim != 2 or weights.shape[1] != rows.shape[1]:
            raise InputError(
                f"data {source}: weights {weights.shape} and inputs {rows.shape} are not [N, K] and [M, K]; "
                "reshape them"
            )
    # Small vectors keep a scale above 0, without which encoders lose their accuracy.
    by = Quantizer.for_activations(config, scale_rounding="ceil")
    return Operands(Quantizer.for_weights(config).quantize(weights).operand(), by.quantize(rows).operand())


def play(
    simulation: Simulation, config: Configuration, streams: Mapping[str, Mapping[str, Words]], result: str
) -> Iterator[None]:
    """Reset a netlist and let it take its streams; come back after each clock edge, without end.

    ``streams`` are words [beats, width, 1] by stream and field; those of the stream ``result`` are always taken.
    """
    ones = np.full((1, 1), ~np.uint64(0))
    clocking = design(config).clocking
    assert clocking.reset, "energy is of designs with a reset"
    if clocking.enable:
        simulation.drive(clocking.enable, ones)
    simulation.drive(clocking.reset, ~ones if clocking.active_low else ones)
    simulation.clock()
    simulation.drive(clocking.reset, ones if clocking.active_low else ~ones)
    simulation.drive(f"{result}_ready", ones)
    position = dict.fromkeys(streams, 0)
    lengths = {stream: len(next(iter(ports.values()))) for stream, ports in streams.items()}
    while True:
        waiting = [stream for stream in streams if position[stream] < lengths[stream]]
        for stream in streams:
            simulation.drive(f"{stream}_valid", ones if stream in waiting else ~ones)
        for stream in waiting:
            for name, words in streams[stream].items():
                simulation.drive(f"{stream}_{name}", words[position[stream]])
        simulation.clock()
        for stream in waiting:
            position[stream] += simulation.agreed(f"{stream}_ready")
        yield


def mac_beats(config: MacConfig, data: Operands) -> Beats:
    """Return 64 pieces of a layer, evenly spaced, each of whole results; all fields have the axes [stream, cycle]."""
    offsets = least_offsets(config, data.weights, data.activations) if config.window else None
    beats, groups = layer(data.weights, data.activations, offsets), data.weights.codes.shape[1]
    length = -(-_CYCLES // groups) * groups
    starts = np.arange(WORD) * ((len(beats) - length) // groups) // (WORD - 1) * groups
    return beats.select(starts[:, None] + np.arange(length))


def mac_ports(config: MacConfig, beats: Beats) -> dict[str, Words]:
    """Return the words [cycle, width, 1] of every field of the input stream."""
    numbers: dict[str, tuple[Format | None, Any]] = {
        "weights": (config.weight, beats.weights),
        "activations": (config.activation, beats.activations),
        "weight_scale": (config.weight_scale, beats.weight_scales),
        "activation_scale": (config.activation_scale, beats.activation_scales),
    }
    ports = {name: pack_codes(kind.encode(codes), kind.bits) for name, (kind, codes) in numbers.items() if kind}
    if beats.offsets is not None:
        ports["offset"] = pack_codes(beats.offsets, config.offset_bits)
    return {**ports, "first": pack_codes(beats.first, 1), "last": pack_codes(beats.last, 1)}


def mac_activity(simulation: Simulation, config: MacConfig, beats: Beats) -> Activity:
    """Return the activity of a MAC that takes a vector in every cycle, after as many as fill it, the last ones."""
    cycles = np.arange(-config.pipeline - 2, beats.last.shape[1])
    ports = {name: words[cycles] for name, words in mac_ports(config, beats).items()}
    for cycle, _ in zip(cycles, play(simulation, config, {"in": ports}, "out"), strict=False):
        if cycle == -1:
            simulation.reset_counts()
    return simulation.activity()


def pe_streams(config: PeConfig, data: Operands) -> list[Streams]:
    """Return the same commands with 64 different pieces of a layer's rows.

    Each command computes as many rows as the activation buffer holds (at most two for each lane) with as many of the
    layer's vectors as both buffers hold. Outputs are requantized, if there is post-processing, to their largest value.
    """
    lanes, ppu = config.lanes, config.ppu
    channels, groups, _ = data.weights.codes.shape
    groups = min(groups, config.weight_depth, config.activation_depth)
    rows = min(config.activation_depth // groups, 2 * lanes)
    weights, activations = (side.map(lambda array: array[:, :groups]) for side in (data.weights, data.activations))
    offset = int(least_offsets(config.mac, weights, activations).max()) if config.mac.window else 0
    loads = [number % _MEASURED == 0 for number in range(_COMMANDS)]
    relu = ppu and data.relu
    commands = [
        Command(
            rows=rows,
            vectors=groups,
            offset=offset,
            load_weights=load,
            load_params=load and ppu,
            requantize=ppu,
            relu=relu,
        )
        for load in loads
    ]
    tiles = sum(loads)
    entry = np.arange(tiles * lanes).reshape(tiles, 1, lanes) % channels, np.arange(groups)[:, None]
    params = None
    if ppu:
        # The largest accumulator becomes the largest z.
        products = matmul(config.mac, weights, activations, offset if config.mac.window else None)
        factor = min(config.z_range[1] / max(1, int(np.abs(products.acc).max())), 1.0)
        params = fit_params(config, np.full(tiles * lanes, factor), np.zeros(tiles * lanes))

    def piece(number: int) -> Streams:
        first = number * len(data.activations.codes) // WORD
        row = (first + np.arange(_COMMANDS * rows)) % len(data.activations.codes)
        return Streams(
            commands=commands,
            weights=data.weights.map(lambda array: array[entry].reshape(-1, *array.shape[2:])),
            activations=data.activations.map(lambda array: array[row, :groups].reshape(-1, *array.shape[2:])),
            params=params,
        )

    return [piece(number) for number in range(WORD)]


def pe_ports(config: PeConfig, streams: Sequence[Streams]) -> dict[str, dict[str, Words]]:
    """Return the words [beats, width, 1] of every field of the input streams."""
    mac, commands = config.mac, streams[0].commands
    widths = {**config.command_numbers, **dict.fromkeys(config.command_marks, 1)}
    ports = {
        "command": {
            name: pack_codes(np.tile([int(getattr(command, name)) for command in commands], (WORD, 1)), bits)
            for name, bits in widths.items()
        }
    }
    for side, element, scale in (
        ("weights", mac.weight, mac.weight_scale),
        ("activations", mac.activation, mac.activation_scale),
    ):
        codes, scales = zip(*(getattr(part, side) for part in streams), strict=True)
        ports[side] = {"codes": pack_codes(element.encode(np.array(codes)), element.bits)}
        if scale:
            ports[side]["scale"] = pack_codes(scale.encode(np.array(scales)), scale.bits)
    if config.ppu:
        widths = {"multiplier": config.multiplier_bits, "shift": config.shift_bits, "bias": config.bias_bits}
        ports["lane_params"] = {
            name: pack_codes(np.array([getattr(part.params, name) for part in streams]), bits)
            for name, bits in widths.items()
        }
    return ports


def results(simulation: Simulation, config: PeConfig, streams: Sequence[Streams]) -> Iterator[None]:
    """Play the streams; come back at each result, whose values are at the outputs, before the next clock edge.

    A netlist that gives none for 10,000 cycles is a RuntimeError.
    """
    idle = 0
    for _ in play(simulation, config, pe_ports(config, streams), "result"):
        idle += 1
        if simulation.agreed("result_valid"):
            idle = 0
            yield
        if idle == _WAIT:
            raise RuntimeError(f"{config}: no result for {_WAIT} cycles")


def pe_activity(simulation: Simulation, config: PeConfig, data: Operands) -> tuple[Activity, float]:
    """Return activity and utilization between the last results of the first command and of the last one but two."""
    streams = pe_streams(config, data)
    ends = (None for _ in results(simulation, config, streams) if simulation.agreed("result_last"))
    next(ends)
    simulation.reset_counts()
    for _ in range(_MEASURED):
        next(ends)
    activity, command = simulation.activity(), streams[0].commands[0]
    return activity, _MEASURED * command.rows * command.vectors * WORD / activity.cycles


# By kind of design, the activity in steady state, and the share of cycles in which operands enter.
ACTIVITY: dict[str, Callable[[Simulation, Any, Operands], tuple[Activity, float]]] = {
    "mac": lambda simulation, config, data: (mac_activity(simulation, config, mac_beats(config, data)), 1.0),
    "pe": pe_activity,
}
