"""The bit-exact model of a processing element, and the meaning of its commands.

A command computes ``C[rows, L] = A[rows, vectors * V] * W[vectors * V, L]``. It takes from the streams, in order,

=============  ==========================  ==============================================================
stream         if the command says         beats
=============  ==========================  ==============================================================
weights        ``load_weights``            vectors * L: for each vector, each lane's V codes and their scale
activations    ``load_activations``        rows * vectors: for each row, each vector's V codes and their scale
lane_params    ``load_params``             L: each lane's multiplier, shift and bias
=============  ==========================  ==============================================================

and gives on ``result``, for each row, either L accumulators, lane 0 first (``raw``), or L / V requantized vectors of V
codes and their scale, the vector of lanes 0 .. V-1 first. The last beat of a command is marked ``last``. Accumulators
that are windows have the command's ``offset``, all of them; output scales that are powers of two its ``scale_base``.

A row of G vectors is accumulated from vector ``floor((row mod b) * G / b)`` on, round to the one before it, b being the
configuration's ``reuse``; the order matters where an accumulator saturates. A row is counted from its command's first.

Buffers have two banks. A command's loads go to the banks that the command before it does not read, while that one
computes; what a command does not load, it shares with the command before it. Results come in the order of commands.

A command is illegal if its rows or vectors are zero, if the vectors exceed the weight buffer (or the vectors last
loaded, if it loads none), if rows * vectors exceed the activation buffer (or what was last loaded), or if it
requantizes and no parameters were ever loaded. It then takes nothing from the streams and changes nothing; its only
result beat is marked ``illegal`` and ``last``. Reset forgets what was loaded.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.datapath import BlockOperand, Flags, Integers, LayerResult, matmul
from vsq.golden.model.ppu import LaneParams, quantize, rescale


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command; ``relu`` and ``scale_base`` matter only if it requantizes.

    Of what the configuration has no use for, an element has no port: see its ``command_numbers`` and ``command_marks``.
    """

    rows: int
    vectors: int
    offset: int = 0
    scale_base: int = 0
    load_weights: bool = True
    load_activations: bool = True
    load_params: bool = False
    requantize: bool = False
    relu: bool = False


@dataclass(frozen=True, kw_only=True)
class Streams:
    """The contents of the four input streams; an element without post-processing has no parameters."""

    commands: Sequence[Command]
    weights: BlockOperand  # [B, V]
    activations: BlockOperand  # [B, V]
    params: LaneParams | None  # [B]


@dataclass(frozen=True, kw_only=True, eq=False)
class CommandResult:
    """Results of one command: accumulators and their flags [rows, L], or codes [rows, L/V, V], scales [rows, L/V].

    Arrays that do not apply are None; an illegal command has none.
    """

    acc: Integers | None = None
    overflow: Flags | None = None
    inexact: Flags | None = None  # of a window
    codes: Integers | None = None
    scales: Integers | None = None

    @property
    def illegal(self) -> bool:
        """Whether the command was illegal."""
        return self.acc is None and self.codes is None


@dataclass(frozen=True)
class Loaded:
    """The amount that an element holds; the default is the state after reset."""

    config: PeConfig
    vectors: int = 0  # last loaded to the weight buffer, a lane
    entries: int = 0  # last loaded to the activation buffer
    params: bool = False  # whether they were ever loaded

    def limits(self, command: Command) -> tuple[int, int]:
        """Return the most vectors, and the most rows * vectors, that a command with these loads may have now."""
        vectors = self.config.weight_depth if command.load_weights else self.vectors
        return vectors, self.config.activation_depth if command.load_activations else self.entries

    def is_legal(self, command: Command) -> bool:
        """Whether the element executes the command in this state."""
        vectors, entries = self.limits(command)
        return (
            command.rows > 0
            and 0 < command.vectors <= vectors
            and command.rows * command.vectors <= entries
            and (not command.requantize or command.load_params or self.params)
        )

    def beats(self, command: Command) -> dict[str, int]:
        """Return the number of beats that the command takes from each stream."""
        legal, lanes = self.is_legal(command), self.config.lanes
        counts = {
            "command": 1,
            "weights": command.vectors * lanes * (legal and command.load_weights),
            "activations": command.rows * command.vectors * (legal and command.load_activations),
        }
        return counts | ({"lane_params": lanes * (legal and command.load_params)} if self.config.ppu else {})

    def after(self, command: Command) -> "Loaded":
        """Return the state after the command."""
        if not self.is_legal(command):
            return self
        return Loaded(
            self.config,
            command.vectors if command.load_weights else self.vectors,
            command.rows * command.vectors if command.load_activations else self.entries,
            self.params or command.load_params,
        )


class ElementModel:
    """The state of one element from one command to the next; a new object is in the state after reset.

    Attributes:
        loaded: The amount that it holds.
        operands: The buffers' contents: weights [vectors, L, V], activations [entries, V] and parameters [L].
    """

    def __init__(self, config: PeConfig) -> None:
        self._config = config
        self.loaded = Loaded(config)
        self.operands: tuple[Any, Any, Any] = (None, None, None)

    def run(self, streams: Streams) -> list[CommandResult]:
        """Execute the commands; return a result for each.

        Raises:
            InputError: If the streams do not hold exactly what the commands take, a value does not fit its port, or a
                command wants post-processing of an element that has none.
        """
        self._check(streams)
        lanes, taken, results = self._config.lanes, Counter[str](), []

        def take(stream: str, columns: Any, count: int) -> Any:
            begin = taken[stream]
            taken[stream] += count
            return columns.map(lambda column: column[begin : begin + count])

        for command in streams.commands:
            if not self.loaded.is_legal(command):
                results.append(CommandResult())
                continue
            weights, activations, params = self.operands
            if command.load_weights:
                vectors = take("weights", streams.weights, command.vectors * lanes)
                weights = vectors.map(lambda array: array.reshape(-1, lanes, *array.shape[1:]))
            if command.load_activations:
                activations = take("activations", streams.activations, command.rows * command.vectors)
            if command.load_params:
                params = take("lane_params", streams.params, lanes)
            self.loaded, self.operands = self.loaded.after(command), (weights, activations, params)
            results.append(self._compute(command))
        return results

    def _check(self, streams: Streams) -> None:
        """Refuse streams that :meth:`run` cannot execute as a whole."""
        config, loaded, needed = self._config, self.loaded, Counter[str]()
        for number, command in enumerate(streams.commands):
            for name, bits in config.command_numbers.items():
                value, rule = getattr(command, name), f"does not fit the {bits}-bit port of {config}; split the command"
                if not 0 <= value < 1 << bits:
                    raise InputError(f"command {number}: {name} = {value} {rule}")
            for name in ("offset", "scale_base"):
                if name not in config.command_numbers and getattr(command, name):
                    rule = f"{config} has no use for it; leave it out"
                    raise InputError(f"command {number}: {name} = {getattr(command, name)}: {rule}")
            if config.powers and command.scale_base > config.scale_base_max:
                rule = f"scales {config.mac.activation_scale} would pass 254; give at most {config.scale_base_max}"
                raise InputError(f"command {number}: scale_base = {command.scale_base}: {rule}")
            if not config.ppu and (command.requantize or command.load_params):
                rule = f"{config} has no post-processing; ask for raw results and no parameters"
                raise InputError(f"command {number}: {rule}")
            needed.update(loaded.beats(command))
            loaded = loaded.after(command)
        columns = {"weights": streams.weights.codes, "activations": streams.activations.codes}
        for name, column in {**columns, "lane_params": streams.params or ()}.items():
            if len(column) != needed[name]:
                rule = f"the commands take {needed[name]}; give what they load"
                raise InputError(f"{name}: {len(column)} beats, but {rule}")
        if streams.params is not None:
            streams.params.check(config)

    def _compute(self, command: Command) -> CommandResult:
        config, rows, vectors = self._config, command.rows, command.vectors
        weights, activations, params = self.operands
        products = multiply(
            config,
            weights.map(lambda array: array[:vectors].swapaxes(0, 1)),
            activations.map(lambda array: array[: rows * vectors].reshape(rows, vectors, *array.shape[1:])),
            command.offset if config.mac.window else None,
        )
        if not command.requantize:
            inexact = products.inexact if config.mac.window else None
            return CommandResult(acc=products.acc, overflow=products.overflow, inexact=inexact)
        z = rescale(config, products.acc, params, relu=command.relu)
        codes, scales = quantize(config, z.reshape(rows, -1, config.mac.vector_size), command.scale_base)
        return CommandResult(codes=codes, scales=scales)


def multiply(
    config: PeConfig, weights: BlockOperand, activations: BlockOperand, offset: int | None = None
) -> LayerResult:
    """Multiply as :func:`vsq.golden.model.datapath.matmul` does, each row's vectors in the element's order."""
    rows, vectors = activations.codes.shape[:2]

    def accumulate(slot: int) -> LayerResult:
        """Multiply every b-th row, all of which start from the same vector."""
        start = config.start(slot, vectors)
        turned = activations.map(lambda array: np.roll(array[slot :: config.reuse], -start, axis=1))
        return matmul(config.mac, weights.map(lambda array: np.roll(array, -start, axis=1)), turned, offset)

    parts = [accumulate(slot) for slot in range(min(config.reuse, rows))]
    whole = LayerResult(*(np.empty((rows, len(weights.codes)), array.dtype) for array in vars(parts[0]).values()))
    for slot, part in enumerate(parts):
        for name, array in vars(part).items():
            getattr(whole, name)[slot :: config.reuse] = array
    return whole


def simulate(config: PeConfig, streams: Streams) -> list[CommandResult]:
    """Return the results of the commands of ``streams`` from reset on, as :meth:`ElementModel.run` does."""
    return ElementModel(config).run(streams)


def concatenate(parts: Iterable[Streams]) -> Streams:
    """Return streams one after the other."""
    items = list(parts)
    params = [vars(part.params).values() for part in items if part.params is not None]
    return Streams(
        commands=[command for part in items for command in part.commands],
        weights=BlockOperand.concatenate(part.weights for part in items),
        activations=BlockOperand.concatenate(part.activations for part in items),
        params=LaneParams(*map(np.concatenate, zip(*params, strict=True))) if params else None,
    )
