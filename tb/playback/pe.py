"""Whole layers through the RTL of a processing element, without Python in the simulation.

A plain-Verilog bench reads each stream's beats from a file, one hexadecimal word a line, and writes the results in
binary. It is built once for a configuration, and run once for each layer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from amaranth.hdl import Shape

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.packing import unpack
from vsq.golden.model.pe import Command, Result, Streams
from vsq.hw.emit.design import design
from vsq.tb.agents.pe_words import Words, input_fields, input_words, result_fields
from vsq.tb.playback import build
from vsq.tb.regression.job import TOP
from vsq.tb.simulation import simulators

_FLAGS = ("--binary", "--timing", "-CFLAGS", "-std=c++20 -O1")
_IDLE_CYCLES = 1_000_000

_BENCH = """`timescale 1ns/1ps
module playback;
  reg clk = 0, rst = 1, result_ready = 1;
  integer idle = 0, left, cycles = 0, stalls = 0, result_file;
  always #1 clk = ~clk;
  initial begin
    if (!$value$plusargs("results=%d", left)) $fatal;
    if (!$value$plusargs("stalls=%d", stalls)) stalls = 0;
    result_file = $fopen("result.txt");
  end
{streams}
  wire [{result_high}:0] result_word;
  wire result_valid;
  reg [{result_high}:0] offered;
  reg waiting = 0;
  {top} dut(.clk(clk), .rst(rst), .result_valid(result_valid), .result_ready(result_ready),
{ports});
  always @(posedge clk) begin
    rst <= 0;
    cycles <= cycles + 1;
    idle <= idle + 1;
    result_ready <= stalls == 0 || $urandom % 100 >= stalls;
    waiting <= !rst && result_valid && !result_ready;
    offered <= result_word;
    if (waiting && (!result_valid || result_word !== offered))
      $fatal(1, "a result was offered, not taken, and changed in cycle %0d", cycles);
    if (!rst && result_valid && result_ready) begin
      idle <= 0;
      left <= left - 1;
      $fwrite(result_file, "%b %0d\\n", result_word, cycles);
      if (left == 1) begin
        $fclose(result_file);
        $finish;
      end
    end
    if (idle == {idle}) $finish;
  end
endmodule
"""

_STREAM = """
  integer {name}_file, {name}_read;
  reg [{high}:0] {name}_word, {name}_next;
  reg {name}_valid = 0;
  wire {name}_ready;
  initial {name}_file = $fopen("{name}.txt", "r");
  always @(posedge clk) if (!{name}_valid || {name}_ready) begin
    {name}_read = $fscanf({name}_file, "%h", {name}_next);
    {name}_word <= {name}_next;
    {name}_valid <= {name}_read == 1;
  end
"""


class Playback:
    """The RTL of one configuration, built for playback.

    Parameters
    ----------
    config
        The processing element.
    simulator
        ``verilator`` or ``icarus``.
    folder
        Where the simulation is built and runs.
    verilog
        Simulated instead of the generated design; its top module is :data:`vsq.tb.regression.job.TOP`.
    idle_cycles
        Without a result, after which a run is given up.

    Raises
    ------
    InputError
        If the simulator is missing or too old.

    Attributes
    ----------
    cycles
        Clock cycles of all runs, from reset to the last result.
    """

    def __init__(
        self,
        config: PeConfig,
        simulator: str,
        folder: Path,
        *,
        verilog: str | None = None,
        idle_cycles: int = _IDLE_CYCLES,
    ) -> None:
        self._config, self._folder, self._idle_cycles = config, folder, idle_cycles
        self.cycles = 0
        ports = design(config).ports()
        self._widths = {name: Shape.cast(member.shape).width for name, member in ports.items()}
        self._simulator = simulators.find(simulator)
        sources = {"playback.v": self._bench(), "dut.v": verilog or design(config).verilog(TOP)}
        self._command = build.compiled(self._simulator, sources, folder, _FLAGS)

    def run(self, streams: Streams) -> list[Result]:
        """Execute legal commands on an element that was just reset; return a result for each.

        Raises
        ------
        RuntimeError
            If results are missing after the idle cycles.
        """
        count = sum(_result_count(self._config, command) for command in streams.commands)
        beats = self.beats(streams, count)
        if len(beats) < count:
            raise RuntimeError(
                f"{self._config}: {len(beats)} results of {count}, then none for {self._idle_cycles} cycles"
            )
        return list(self._results(streams.commands, beats))

    def beats(self, streams: Streams, count: int, arguments: Sequence[str] = ()) -> list[str]:
        """Return the first ``count`` beats of the result stream in binary, fewer if it falls idle before.

        ``arguments`` are given to the simulation: ``+stalls=50`` takes no result in half of the cycles.

        Raises
        ------
        RuntimeError
            If a bit of a result changes while it waits.
        """
        for stream, words in input_words(self._config, streams).items():
            widths = [self._widths[f"{stream}_{field}"] for field in input_fields(self._config)[stream]]
            text = "".join(f"{build.joined(widths, beat):x}\n" for beat in words)
            (self._folder / f"{stream}.txt").write_text(text)
        build.call(self._simulator, [*self._command, f"+results={count}", *arguments], self._folder)
        lines = [line.split() for line in (self._folder / "result.txt").read_text().split("\n")[:-1]]
        self.cycles += int(lines[-1][1]) if lines else 0
        return [beat for beat, _ in lines]

    def mismatch(self, streams: Streams, expected: Sequence[Words], arguments: Sequence[str] = ()) -> str | None:
        """Return how the result stream differs from :func:`vsq.tb.agents.pe_words.result_words`; None if it does not.

        ``arguments`` are those of :meth:`beats`, which raises the same.
        """
        found, fields = self.beats(streams, len(expected), arguments), result_fields(self._config)
        for number, (beat, words) in enumerate(zip(found, expected, strict=False)):
            for name, value in zip(fields, words, strict=True):
                try:
                    if value != -1 and self.field(beat, name) != value:
                        return f"result {number}: {name} is {self.field(beat, name)}, not {value}"
                except ValueError:
                    return f"result {number}: {name} is undefined"
        return None if len(found) == len(expected) else f"{len(found)} results of {len(expected)}"

    def field(self, beat: str, name: str) -> int:
        """Return one field of a result in binary. Undefined bits raise ``ValueError``; other fields may have them."""
        names = result_fields(self._config)
        low = sum(self._widths[f"result_{before}"] for before in names[: names.index(name)])
        end = len(beat) - low
        return int(beat[end - self._widths[f"result_{name}"] : end], 2)

    def _bench(self) -> str:
        streams, ports = [], []
        for stream, names in input_fields(self._config).items():
            connections, bits = self._slices(stream, names)
            ports += [f".{stream}_valid({stream}_valid)", f".{stream}_ready({stream}_ready)", *connections]
            streams.append(_STREAM.format(name=stream, high=bits - 1))
        connections, bits = self._slices("result", result_fields(self._config))
        return _BENCH.format(
            streams="".join(streams),
            ports=",\n".join(f"    {port}" for port in [*ports, *connections]),
            top=TOP,
            result_high=bits - 1,
            idle=self._idle_cycles,
        )

    def _slices(self, stream: str, names: Sequence[str]) -> tuple[list[str], int]:
        ports = {f"{stream}_{name}": self._widths[f"{stream}_{name}"] for name in names}
        return build.slices(ports, f"{stream}_word")

    def _results(self, commands: Sequence[Command], found: Sequence[str]) -> Iterator[Result]:
        """Yield the results of the commands from the beats of the result stream."""
        config, start = self._config, 0
        size, element, bits = config.mac.vector_size, config.mac.activation, config.mac.acc_bits
        for command in commands:
            count = _result_count(config, command)
            beats = found[start : start + count]
            start += count
            if command.requantise:
                codes = unpack([self.field(beat, "codes") for beat in beats], element, size)
                scales = [self.field(beat, "scale") for beat in beats] if config.mac.activation_scale else None
                yield Result(
                    codes=codes.reshape(command.rows, -1, size),
                    scales=None if scales is None else np.array(scales).reshape(command.rows, -1),
                )
            else:
                acc = [self.field(beat, "acc") for beat in beats]
                overflow = [self.field(beat, "overflow") if "result_overflow" in self._widths else 0 for beat in beats]
                yield Result(
                    acc=np.array([value - (value >> (bits - 1) << bits) for value in acc]).reshape(command.rows, -1),
                    overflow=np.array(overflow, np.bool_).reshape(command.rows, -1),
                )


def _result_count(config: PeConfig, command: Command) -> int:
    """Return the result beats of a legal command."""
    return command.rows * config.lane_count // (config.mac.vector_size if command.requantise else 1)
