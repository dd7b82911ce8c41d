"""Replays a recorded failure with waves and shrinks it: ``vsq regress --reproduce FILE``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from vsq.golden.contract.configuration import Configuration, configuration
from vsq.golden.contract.errors import InputError
from vsq.hw.emit.design import design
from vsq.tb.designs import environment
from vsq.tb.failures.recording import Recording, rtl_hash
from vsq.tb.failures.shrink import shrink
from vsq.tb.regression.dut import Dut
from vsq.tb.regression.job import TOP, Job
from vsq.tb.regression.run import run


def reproduce(path: Path, *, out: Path, console: Console, files: Sequence[Path] = (), top: str | None = None) -> int:
    """Replay a recording, record its waves if it fails, and shrink it; return 1 if it fails, else 0.

    The design is what :meth:`vsq.tb.regression.dut.Dut.read` makes of ``files``; without them the Verilog that stands
    beside the recording, or else the generated one. ``out`` receives what :func:`vsq.tb.regression.run.run` writes; the
    run's folder also ``minimal.npz``, a recording of the shrunk streams.

    Raises:
        InputError: If the file is no recording, ``files`` are no such design, or a tool is missing.
    """
    recording = Recording.load(path)
    config, beside = configuration(recording.config), path.with_name(f"{TOP}.v")
    _check(recording, config, path)
    if files:
        verilog = Dut.read(config, files, top).verilog
    else:
        verilog = beside.read_text() if beside.exists() else design(config).verilog(TOP)
    same = "the same RTL as" if rtl_hash(verilog) == recording.rtl else "another RTL than"
    console.print(f"{recording.config}: {recording.size} recorded beats, seed {recording.seed}, {same} recorded")
    job = Job(
        config=recording.config,
        simulator=recording.simulator,
        seed=recording.seed,
        playback=str(path.resolve()),
        verilog=verilog,
    )
    summary = run([job], workers=1, out=out, console=console)
    if summary.passed:
        return 0
    try:
        minimal, reason = (
            shrink(config, recording.streams, recording.pace(), verilog),
            "it does not fail in the C++ playback",
        )
    except InputError as error:
        minimal, reason = None, str(error)
    if minimal is None:
        console.print(f"not shrunk: {reason}")
        return 1
    sending, taking = minimal.pace.bursts() if minimal.pace else ({}, [])
    smaller = replace(recording, streams=minimal.streams, sending=sending, taking=taking)
    smaller.save(kept := summary.folder / "minimal.npz")
    console.print(
        f"\nshrunk from {recording.size} beats to {smaller.size} in {minimal.tried} runs: {kept}\n"
        f"pauses: {'needed' if minimal.pace else 'none'}\n{escape(minimal.failure)}",
        soft_wrap=True,
    )
    return 1


def _check(recording: Recording, config: Configuration, path: Path) -> None:
    """Refuse streams that are not those of the configuration."""
    stream = ""
    try:
        for stream, layout in environment(config).interface(config).inputs.items():
            layout.words(recording.streams[stream])
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: no recording of {recording.config} (stream {stream}: {type(error).__name__} {error}); "
            "give the failure.npz of a failed job"
        ) from None
