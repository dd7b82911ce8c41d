// The design between registers, for harness.cpp: input changes after the clock edge, and the outputs read after it
// belong to it. Words stand in slots of 32-bit words.
module playback(input clk, input rst, input ready, input [%%streams-1:0] valid, input [%%word_bits-1:0] words,
  output [%%streams-1:0] accepts, output out_valid, output [%%result_bits-1:0] result);
  reg dut_rst, taking;
  reg [%%streams-1:0] offers;
  reg [%%word_bits-1:0] held;
  wire [%%payload_bits-1:0] payload;
  assign result = {{(%%result_bits-%%payload_bits){1'b0}}, payload};
  always @(posedge clk) begin
    dut_rst <= rst;
    taking <= ready;
    offers <= valid;
    held <= words;
  end
  %%top dut(.clk(clk), .rst(dut_rst),
    %%ports);
endmodule
