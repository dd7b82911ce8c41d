"""The streams of a processing element as the words of its ports; without cocotb, for files of test vectors too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vsq.golden.contract.config import Overflow
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.formats.base import Format
from vsq.golden.model.packing import pack, unpack
from vsq.golden.model.pe import Command, Result, Streams
from vsq.golden.model.ppu import LaneParams
from vsq.golden.stimulus.commands import result_beats

Words = tuple[int, ...]

_COMMAND = ("rows", "vectors", "load_weights", "load_activations")
_PROCESSING = ("load_params", "requantise", "relu")
_PARAMS = ("multiplier", "shift", "bias")


def input_fields(config: PeConfig) -> dict[str, list[str]]:
    """Return the input streams' names, each with the names of its ports after the stream's."""
    fields = {"command": [*_COMMAND, *(_PROCESSING if config.ppu else ())]}
    for stream, scale in (("weights", config.mac.weight_scale), ("activations", config.mac.activation_scale)):
        fields[stream] = ["codes", *(["scale"] if scale else [])]
    return fields | ({"lane_params": list(_PARAMS)} if config.ppu else {})


def result_fields(config: PeConfig) -> list[str]:
    """Return the names of the result's ports after ``result_``."""
    names = ["illegal", "last", "acc", *(["overflow"] if config.mac.overflow == Overflow.SATURATE else [])]
    if config.ppu:
        names += ["raw", "codes", *(["scale"] if config.mac.activation_scale else [])]
    return names


def input_words(config: PeConfig, streams: Streams) -> dict[str, list[Words]]:
    """Return each input stream's beats as words in the order of :func:`input_fields`."""
    names = input_fields(config)
    words: dict[str, list[Words]] = {
        "command": [tuple(int(getattr(command, name)) for name in names["command"]) for command in streams.commands],
        "weights": _vector_words(config.mac.weight, streams.weights, streams.weight_scales),
        "activations": _vector_words(config.mac.activation, streams.activations, streams.activation_scales),
    }
    if config.ppu:
        words["lane_params"] = []
    if streams.params is not None:
        bias = streams.params.bias & ((1 << config.bias_bits) - 1)
        columns = (streams.params.multiplier, streams.params.shift, bias)
        words["lane_params"] = list(zip(*(column.tolist() for column in columns), strict=True))
    return words


def command_of(config: PeConfig, words: Words) -> Command:
    """Return the command that one beat's words stand for."""
    values: dict[str, Any] = dict(zip(input_fields(config)["command"], words, strict=True))
    return Command(**values)


def streams_of(config: PeConfig, words: Mapping[str, Sequence[Words]]) -> Streams:
    """Return the streams that words stand for; inverse of :func:`input_words`."""
    params = np.array(words.get("lane_params", []), np.int64).reshape(-1, 3)
    bias = params[:, 2] - (params[:, 2] >> (config.bias_bits - 1) << config.bias_bits)
    weights, weight_scales = _vectors(config, config.mac.weight, config.mac.weight_scale, words["weights"])
    activations, scales = _vectors(config, config.mac.activation, config.mac.activation_scale, words["activations"])
    return Streams(
        commands=[command_of(config, beat) for beat in words["command"]],
        weights=weights,
        weight_scales=weight_scales,
        activations=activations,
        activation_scales=scales,
        params=LaneParams(params[:, 0], params[:, 1], bias) if config.ppu else None,
    )


def result_words(config: PeConfig, results: Sequence[Result]) -> Iterator[Words]:
    """Yield the result stream's beats as :class:`vsq.tb.agents.pe.ResultMonitor` reads them."""
    fields = result_fields(config)
    for beat in result_beats(config, results):
        if "codes" in beat:
            (beat["codes"],) = pack(np.array([beat["codes"]]), config.mac.activation)
        if "acc" in beat:
            beat["acc"] &= (1 << config.mac.acc_bits) - 1
        yield tuple(beat.get(name, -1) for name in fields)


def _vector_words(fmt: Format, codes: Any, scales: Any) -> list[Words]:
    packed = pack(codes, fmt) if len(codes) else []
    return list(zip(packed, *([] if scales is None else [scales.tolist()]), strict=True))


def _vectors(config: PeConfig, fmt: Format, scale: Format | None, words: Sequence[Words]) -> tuple[Any, Any]:
    size = config.mac.vector_size
    codes = unpack([beat[0] for beat in words], fmt, size) if words else np.zeros((0, size), np.int64)
    return codes, np.array([beat[1] for beat in words], np.int64) if scale else None
