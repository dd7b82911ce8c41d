"""Test vectors and a plain-Verilog bench, for users who have a simulator and no Python."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from golden.config import IntFormat, MacConfig, Overflow
from golden.datapath import MacResult, mac
from golden.files import replacing, write_text
from golden.packing import bits
from golden.stimulus import Beats, beats
from hw.verilog import default_name
from tb.playback import slices


def write_vectors(config: MacConfig, folder: Path, count: int, seed: int, name: str | None = None) -> list[Path]:
    """Write stimulus, expected results and a self-checking bench of ``count`` vectors into ``folder``.

    ``<name>_stimulus.memh`` and ``<name>_expected.memh`` hold one hexadecimal word a line: an input word is, from its
    least significant bit, weights, activations, weight scale, activation scale, first, last; an output word is acc and,
    if the accumulator saturates, overflow. ``<name>_vectors.npz`` holds the same as arrays. ``<name>_tb.v`` reads the
    words, drives them with random pauses on both streams, compares, and prints ``PASS`` or ``FAIL``.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    name = name or default_name(config)
    stream = beats(config, count, seed)
    result = mac(config, **vars(stream))
    words = (int.from_bytes(word.tobytes(), "little") for word in packed_beats(config, stream))
    files = {
        f"{name}_stimulus.memh": "".join(f"{word:x}\n" for word in words),
        f"{name}_expected.memh": "".join(f"{word:x}\n" for word in _output_words(config, result)),
        f"{name}_tb.v": _bench(config, name, count, len(result.acc)),
    }
    for file_name, text in files.items():
        write_text(folder / file_name, text)
    arrays = {key: column for key, column in vars(stream).items() if column is not None}
    acc = result.acc.astype(str) if result.acc.dtype == object else result.acc  # beyond 63 bits: decimal text
    with replacing(folder / f"{name}_vectors.npz") as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays, expected_acc=acc, expected_overflow=result.overflow)
    return [folder / file_name for file_name in (*files, f"{name}_vectors.npz")]


def _input_fields(config: MacConfig) -> dict[str, tuple[IntFormat, int]]:
    """Return an input word's fields from its least significant end: format and number of codes."""
    mark = IntFormat(bits=1, signed=False)
    fields = {
        "weights": (config.weight, config.vector_size),
        "activations": (config.activation, config.vector_size),
        "weight_scales": (config.weight_scale, 1),
        "activation_scales": (config.activation_scale, 1),
        "first": (mark, 1),
        "last": (mark, 1),
    }
    return {name: (form, count) for name, (form, count) in fields.items() if form}


def packed_beats(config: MacConfig, stream: Beats) -> NDArray[np.uint8]:
    """Return every beat's word in bytes from the least significant one, [B, bytes]."""
    columns = [
        bits(getattr(stream, name).reshape(len(stream), count), form)
        for name, (form, count) in _input_fields(config).items()
    ]
    return np.packbits(np.concatenate(columns, axis=1), axis=1, bitorder="little")


def connections(config: MacConfig, beat: str, result: str) -> tuple[list[str], int, int]:
    """Return a MAC's payload ports connected to slices of two words, and the words' bits."""
    inputs = {
        f"in_{name.removesuffix('s') if name.endswith('_scales') else name}": form.bits * count
        for name, (form, count) in _input_fields(config).items()
    }
    outputs = {"out_acc": config.acc_bits, **({"out_overflow": 1} if config.overflow == Overflow.SATURATE else {})}
    (sent, beat_bits), (got, result_bits) = slices(inputs, beat), slices(outputs, result)
    return [*sent, *got], beat_bits, result_bits


def _output_words(config: MacConfig, result: MacResult) -> list[int]:
    """Pack every result into one integer: acc, and above it the overflow flag if there is one."""
    mask = (1 << config.acc_bits) - 1
    flag = config.acc_bits if config.overflow == Overflow.SATURATE else None
    return [
        acc & mask | (0 if flag is None else overflow << flag)
        for acc, overflow in zip(result.acc.tolist(), result.overflow.tolist(), strict=True)
    ]


def _bench(config: MacConfig, name: str, beat_count: int, result_count: int) -> str:
    """Return the self-checking bench in Verilog-2005."""
    payload, beat_bits, result_bits = connections(config, "stimulus_word", "got")
    return _BENCH.format(
        name=name,
        configuration=config.full_name,
        beats=beat_count,
        results=result_count,
        input_high=beat_bits - 1,
        output_high=result_bits - 1,
        payload=",\n    ".join(payload),
    )


_BENCH = """\
// Self-checking bench of {name} ({configuration}).
// Run it where the .memh files are, for example: iverilog -o {name}_tb {name}_tb.v {name}.v && vvp {name}_tb
module {name}_tb;
  localparam BEATS = {beats};
  localparam RESULTS = {results};
  localparam TIMEOUT = 100 * BEATS + 1000;

  reg [{input_high}:0] stimulus [0:BEATS-1];
  reg [{output_high}:0] expected [0:RESULTS-1];
  reg clk = 0, rst = 1, in_valid = 0, out_ready = 0;
  wire in_ready, out_valid;
  wire [{output_high}:0] got;
  integer sent = 0, received = 0, errors = 0, cycles = 0, idle = 0, seed = 1;
  wire [{input_high}:0] stimulus_word = stimulus[sent];

  {name} dut (
    .clk(clk),
    .rst(rst),
    .in_valid(in_valid),
    .in_ready(in_ready),
    .out_valid(out_valid),
    .out_ready(out_ready),
    {payload}
  );

  initial begin
    $readmemh("{name}_stimulus.memh", stimulus);
    $readmemh("{name}_expected.memh", expected);
  end
  always #5 clk = ~clk;

  always @(posedge clk) begin
    cycles <= cycles + 1;
    if (cycles == 2) rst <= 0;
    if (!rst) begin
      if (in_valid && in_ready) sent <= sent + 1;
      if (in_ready || !in_valid)
        in_valid <= (sent + (in_valid && in_ready) < BEATS) && $random(seed) % 4 != 0;
      out_ready <= $random(seed) % 4 != 0;
      if (out_valid && out_ready) begin
        received <= received + 1;
        if (received >= RESULTS || got !== expected[received]) begin
          errors <= errors + 1;
          $display("result %0d: got %h, expected %h", received, got, expected[received]);
        end
      end
      // A hundred idle cycles at the end show results too many.
      idle <= received == RESULTS && sent == BEATS ? idle + 1 : 0;
      if (idle == 100 || cycles == TIMEOUT) begin
        if (errors == 0 && received == RESULTS && sent == BEATS)
          $display("PASS: %0d results of %0d vectors", received, sent);
        else
          $display("FAIL: %0d errors, %0d of %0d results, %0d of %0d vectors", errors, received, RESULTS, sent, BEATS);
        $finish;
      end
    end
  end
endmodule
"""
