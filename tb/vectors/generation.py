"""The files of a generated design: Verilog, its manifest, and test vectors with the bench that plays them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, repeat
from pathlib import Path
from typing import Any

import numpy as np

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import Configuration, PeConfig, configuration
from vsq.golden.io.files import replacing, together, write_text
from vsq.golden.model.datapath import MacResult, mac
from vsq.golden.model.packing import Columns, Field, Integer, Packed
from vsq.golden.model.pe import Command, CommandResult, ElementModel, Streams
from vsq.golden.stimulus.commands import commands, result_beats
from vsq.golden.stimulus.stream import Beats, complete
from vsq.hw.emit.companions.kinds import FREQUENCY_MHZ, checked_frequency, companion_files, known_kinds
from vsq.hw.emit.design import design
from vsq.hw.emit.emission import checked
from vsq.tb.interface.mac import MARK, MacInterface
from vsq.tb.interface.pe import PeInterface
from vsq.tb.vectors.plain_bench import Stream, write_bench

_BYTE = 8


def generate(
    config: Configuration | str,
    out: str | Path = ".",
    name: str | None = None,
    *,
    vectors: int | None = None,
    seed: int = 1,
    interface: str = "native",
    companions: Iterable[str] = (),
    frequency: float | None = None,
) -> list[Path]:
    """Write the files of a vector MAC or a processing element, all of them or none; return their paths.

    Args:
        config: A vector MAC or a processing element: its configuration, or a text such as ``4/4U/4/6`` or
            ``4/4/4/6@lanes=32``.
        out: Folder of the files, made if absent.
        name: Of the module and its files; None takes one that follows from the configuration.
        vectors, seed: Number of test vectors, of an element commands, and their seed; None writes none.
        interface: ``native``, or ``axis`` for a vector MAC with AXI4-Stream ports.
        companions: Kinds of files for other tools, among :data:`vsq.hw.emit.companions.kinds.KINDS`.
        frequency: Of the clock in their constraints, in MHz; None is 100.

    Raises:
        InputError: If a value is out of range, the name is none of Verilog's or a port's, AXI4-Stream is asked for an
            element, a kind of companion is unknown or not for the design, no companion has the frequency, or a file
            cannot be written.
    """
    made, out = design(configuration(config), interface), Path(out)
    if vectors is not None and vectors < 1:
        raise InputError(f"vectors {vectors}: at least 1 is needed; ask for more, or for none")
    if seed < 0:
        raise InputError(f"seed {seed}: seeds are not negative; choose another")
    name, kinds = checked(name or made.default_name), known_kinds(companions)
    mhz = FREQUENCY_MHZ if frequency is None else checked_frequency(frequency, kinds)
    manifest = made.manifest(name)
    companion_files(kinds, manifest)  # refuses a design before anything is made
    if name in (port["name"] for port in manifest["ports"]):
        raise InputError(f"name {name!r}: a port of the design is called so; choose another name")
    with together(out) as folder:
        files = [folder / f"{name}.v", folder / f"{name}.json"]
        write_text(files[0], made.verilog(name))
        write_text(files[1], json.dumps(manifest, indent=2) + "\n")
        if vectors:
            files += _VECTORS[made.kind](made.config, folder, vectors, seed, name)
        bench = [path.name for path in files if path.suffix == ".memh" or path.name == f"{name}_tb.v"]
        for file, text in companion_files(kinds, manifest, bench, mhz).items():
            write_text(folder / file, text)
            files.append(folder / file)
    return [out / file.name for file in files]


def write_mac_vectors(
    config: MacConfig, folder: Path, count: int, seed: int, name: str, *, axis: bool = False
) -> list[Path]:
    """Write stimulus, expected results and a self-checking bench of ``count`` vectors into ``folder``.

    There are more vectors if it takes more to leave the accumulator's range
    (:func:`vsq.golden.stimulus.stream.complete`).

    ``<name>_stimulus.memh`` and ``<name>_expected.memh`` hold one hexadecimal word a line: an input word is, from its
    least significant bit, weights, activations, weight scale, activation scale, offset, first, last; an output word is
    acc and its flags. With AXI4-Stream ports (``axis``), a word is TDATA and above it TLAST.
    ``<name>_vectors.npz`` holds the same as arrays. ``<name>_tb.v`` plays the words
    (:mod:`vsq.tb.vectors.plain_bench`), and prints ``PASS`` or ``FAIL``.

    Raises:
        InputError: If the folder cannot be written.
    """
    (stream, stall), interface = _stream(config, count, seed, axis=axis), MacInterface(config)
    columns, result = interface.streams(stream), mac(config, **vars(stream))
    if axis:
        streams = _axis_streams(interface, columns["in"], result)
    else:
        streams = _streams(interface, columns, result, "stimulus")
    title = f"block-scaled vector MAC {config.full_name}{' with AXI4-Stream ports' if axis else ''}"
    files = write_bench(
        folder,
        name,
        title,
        *streams,
        clocking=design(config, "axis" if axis else "native").clocking,
        stall=stall,
        fill=min(len(stream), int(np.flatnonzero(stream.last)[stall]) + _places(config)),
        idle=MacInterface.idle,
        cycles=len(stream) + config.pipeline,
    )
    arrays = {key: column for key, column in vars(stream).items() if column is not None}
    acc = result.acc.astype(str) if result.acc.dtype == object else result.acc  # beyond 63 bits: decimal text
    flags = {f"expected_{flag}": getattr(result, flag) for flag in ("overflow", *config.flags)}
    with replacing(folder / f"{name}_vectors.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays, expected_acc=acc, **flags)
    return [*files, folder / f"{name}_vectors.npz"]


def _stream(config: MacConfig, count: int, seed: int, *, axis: bool) -> tuple[Beats, int]:
    """Return random beats that show whether a reset clears everything, and the result to stall for that.

    After a reset, the first beat must start from 0 without ``first``. The result to stall leaves something in the
    accumulator, and the overflow flag set where it can be; all beats behind it, one for each stage, ask for a result.
    On AXI4-Stream every accumulation gives one result, its last, and the beat after it is ``first``; there is no NaN.
    """
    stream = complete(replace(config, finite=True) if axis else config, count, seed)
    if axis:
        stream.last[:-1], stream.first[0] = stream.first[1:], True
    else:
        stream.first[0], stream.last[0] = False, True
    result = mac(config, **vars(stream))
    ends = np.flatnonzero(stream.last)
    filled = np.flatnonzero((result.acc[1:] != 0) & (ends[1:] + _places(config) <= len(stream))) + 1
    stall = int([*filled[result.overflow[filled]], *filled, 0][0])
    stream.last[ends[stall] : ends[stall] + _places(config) + 1] = True
    if axis:
        stream.first[1:] = stream.last[:-1]
    return stream, stall


def _places(config: MacConfig) -> int:
    """Return how many vectors, all of them with a result, wait in a MAC at most."""
    return config.pipeline + 1 + config.registered_ready


def _streams(interface: Any, columns: Any, results: Any, name: str = "") -> tuple[list[Stream], Stream]:
    """Return the streams of plain ports, the input's called ``name`` if it is not as the ports."""
    inputs = [
        Stream(name or stream, f"{stream}_", layout, layout.words(columns[stream]))
        for stream, layout in interface.inputs.items()
    ]
    return inputs, Stream("expected", f"{interface.result}_", interface.output, interface.results(results))


def _axis_streams(interface: MacInterface, columns: Columns, result: MacResult) -> tuple[list[Stream], Stream]:
    """Return the streams of AXI4-Stream ports: fields in whole bytes, and TLAST."""
    fields = interface.inputs["in"].fields
    payload = Packed({name: field for name, field in fields.items() if name not in ("first", "last")})
    rows = payload.bytes(columns, _BYTE)
    words = [int.from_bytes(row.tobytes(), "little") for row in rows]
    padded = {
        name: Field(Integer(-(-field.bits // _BYTE) * _BYTE, signed=name == "acc"))
        for name, field in interface.output.fields.items()
    }
    output = Packed(padded)
    results = map(output.join, output.words(vars(result)))
    beats, given = zip(words, columns["last"].tolist(), strict=True), zip(results, repeat(1), strict=False)
    sent = Stream("stimulus", "s_axis_t", _axis_word(_BYTE * rows.shape[1]), list(beats))
    return [sent], Stream("expected", "m_axis_t", _axis_word(output.bits), list(given))


def _axis_word(bits: int) -> Packed:
    return Packed({"data": Field(Integer(bits)), "last": MARK})


def write_pe_vectors(config: PeConfig, folder: Path, count: int, seed: int, name: str) -> list[Path]:
    """Write what the streams carry for ``count`` random commands, the results, and a self-checking bench.

    ``<name>_command.memh`` and so on hold one hexadecimal word a line for each beat of an input stream, its fields from
    the least significant bit in the order of the ports; ``<name>_expected.memh`` holds the result beats, and
    ``<name>_care.memh`` ones where their bits matter. Two or three commands more come first: they are illegal, because
    a reset has forgotten what they do not load. ``<name>_tb.v`` plays it all (:mod:`vsq.tb.vectors.plain_bench`).

    Raises:
        InputError: If the folder cannot be written.
    """
    streams, interface = drawn_streams(config, count, seed), PeInterface(config)
    results = ElementModel(config).run(streams)
    return write_bench(
        folder,
        name,
        f"processing element {config.full_name}",
        *_streams(interface, interface.streams(streams), results),
        clocking=design(config).clocking,
        stall=_stall(config, results),
        idle=interface.idle,
    )


def _stall(config: PeConfig, results: Sequence[CommandResult]) -> int:
    """Return the number of the result beat to stall: the first of most that are requantized in a row, or the middle.

    Those behind it fill every stage.
    """
    beats = list(result_beats(results))
    runs = groupby(range(len(beats)), lambda number: "codes" in beats[number])
    requantized = [list(run) for is_vector, run in runs if is_vector]
    return max(requantized, key=len)[0] if requantized else len(beats) // 2


def drawn_streams(config: PeConfig, count: int, seed: int) -> Streams:
    """Return random commands behind those that only an element without memory of an earlier run refuses."""
    refused = [Command(rows=1, vectors=1, load_weights=False), Command(rows=1, vectors=1, load_activations=False)]
    if config.ppu:
        refused.append(Command(rows=1, vectors=1, requantize=True))
    streams, _ = commands(config, count, seed)
    return replace(streams, commands=[*refused, *streams.commands])


_VECTORS: Mapping[str, Callable[..., list[Path]]] = {
    "mac": write_mac_vectors,
    "mac_axis": partial(write_mac_vectors, axis=True),
    "pe": write_pe_vectors,
}
