// Properties of the MAC's two streams. Counted are results: vectors accepted with the mark `last`.
//
// stages are the vectors with this mark that the pipeline holds, stage 0 first; they make the properties inductive.
module protocol #(parameter DEPTH = 1, WIDTH = 1, COUNT = 4) (
  input clk, input rst, input in_valid, input in_ready, input in_last, input out_valid, input out_ready,
  input [WIDTH-1:0] payload, input [DEPTH:0] stages
);
  reg started = 0, waiting = 0;
  reg [WIDTH-1:0] offered;
  reg [COUNT-1:0] due = 0;           // results accepted and not taken
  reg [DEPTH:0] recent = 0;          // whether a result was accepted in each of the last DEPTH + 1 cycles
  reg [COUNT-1:0] taking = 0;        // cycles that out_ready has been high, up to DEPTH + 1
  wire accepted = in_valid & in_ready & in_last;
  wire taken = out_valid & out_ready;
  reg [COUNT-1:0] held, fresh;
  integer i;

  always @* begin
    held = out_valid;
    fresh = 0;
    for (i = 0; i <= DEPTH; i = i + 1) begin
      held = held + stages[i];
      fresh = fresh + recent[i];
    end
  end

  always @(posedge clk) begin
    started <= 1;
    waiting <= !rst & out_valid & !out_ready;
    offered <= payload;
    due <= rst ? 0 : due + accepted - taken;
    recent <= rst ? 0 : {recent, accepted};
    taking <= rst | !out_ready ? 0 : taking > DEPTH ? taking : taking + 1;
  end

  always @* begin
    assume(started | rst);
    if (started) begin
      assert(!waiting | out_valid & payload == offered); // a result that waits stays as it is
      assert(!out_valid | due != 0);                     // no result without its vector, none twice
      assert(due == held);                               // none is lost: each is in some stage
      assert(due <= DEPTH + 1);
      assert(taking <= DEPTH | due <= fresh);            // DEPTH + 1 cycles after its vector it has left
      assert(!out_ready | in_ready);                     // a vector is accepted whenever results are
    end
  end
endmodule
