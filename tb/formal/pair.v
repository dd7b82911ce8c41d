module pair(input clk, input [%%in_high:0] in, output differs);
  reg started = 0, kept = 1;
  always @(posedge clk) started <= 1;
  always @(posedge clk) kept <= kept & (%%legal);
  wire [%%in_high:0] inputs = {in[%%in_high:1], %%reset};
  wire [%%out_high:0] a, b;
  %%design
  %%other
  wire [%%out_high:0] cared = %%cared, unequal = a ^ b;
  assign differs = started & kept & %%legal & (|unequal[%%handshakes-1:0] | a[1] & |(unequal & cared));
endmodule
