// Properties of the MAC's two streams. Counted are results: vectors accepted with the mark `last`.
//
// stages are the vectors with this mark that the pipeline holds, stage 0 first; they make the properties inductive.
// PLACES are the stages before the result and, if ready is a register, the one in front of them, the last in stages.
module protocol #(parameter DEPTH = 1, PLACES = 1, WIDTH = 1, COUNT = 4, ASYNC = 0, RESET = 1) (
  input clk, input rst, input in_valid, input in_ready, input in_last, input out_valid, input out_ready,
  input [WIDTH-1:0] payload, input [PLACES:0] stages
);
  reg started = 0, waiting = 0;
  reg [WIDTH-1:0] offered;
  reg [COUNT-1:0] due = 0;           // results accepted and not taken
  reg [DEPTH:0] recent = 0;          // whether a result was accepted in each of the last DEPTH + 1 cycles
  reg [COUNT-1:0] taking = 0;        // cycles that out_ready has been high, up to PLACES + 1
  wire accepted = in_valid & in_ready & in_last;
  wire taken = out_valid & out_ready;
  reg [COUNT-1:0] held, fresh;
  integer i;

  always @* begin
    held = out_valid;
    fresh = 0;
    for (i = 0; i <= PLACES; i = i + 1) held = held + stages[i];
    for (i = 0; i <= DEPTH; i = i + 1) fresh = fresh + recent[i];
  end

  always @(posedge clk) begin
    started <= 1;
    waiting <= !rst & out_valid & !out_ready;
    offered <= payload;
    due <= rst ? 0 : due + accepted - taken;
    recent <= rst ? 0 : {recent, accepted};
    taking <= rst | !out_ready ? 0 : taking > PLACES ? taking : taking + 1;
  end

  always @* begin
    assume(RESET ? started | rst : !rst);
    if (started & !(ASYNC & rst)) begin // an asynchronous reset has changed the outputs at once
      assert(!waiting | out_valid & payload == offered); // a result that waits stays as it is
      assert(!out_valid | due != 0);                     // no result without its vector, none twice
      assert(due == held);                               // none is lost: each is in some stage
      assert(due <= PLACES + 1);
      assert(taking <= PLACES | due <= fresh);           // DEPTH + 1 cycles after its vector it has left
      // A vector is accepted whenever results are, or were in the cycle before.
      assert(in_ready | (PLACES > DEPTH ? taking == 0 : !out_ready));
    end
  end
endmodule
