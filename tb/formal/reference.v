module %%module(input clk, %%ports);
  function signed [%%high:0] dot(input [%%beat_high:0] beat);
    dot = %%dot;
  endfunction
  function signed [%%high:0] factor(input [%%beat_high:0] beat);
    reg [%%high:0] p;
    begin
      p = %%product;
      p = (p >> %%shift) + (%%carry);
      p = %%clamped;
      factor = p << (%%exponent);
    end
  endfunction

%%no_reset
  reg fresh = 1;
  always @(posedge clk) fresh <= rst | fresh & !(in_valid & in_ready);
%%entrance
  wire active0 = %%active;
%%stages
  reg result, overflow, inexact;
  reg signed [%%acc_bits-1:0] acc;
  wire free%%depth = !result | out_ready;
  wire signed [%%high:0] product = dot(beat%%depth) * factor(beat%%depth), term = product >>> %%offset;
  wire signed [%%high:0] total = (first%%depth ? 0 : acc) + term;
  wire lost = (term << %%offset) != product;
  wire exceeds = total > %%most | total < %%least;
  always @(posedge clk) begin
    if (rst) result <= 0;
    else if (free%%depth) result <= valid%%depth & last%%depth;
    if (valid%%depth & free%%depth & active%%depth) begin
      acc <= %%policy;
      overflow <= exceeds | overflow & !first%%depth;
      inexact <= lost | inexact & !first%%depth;
    end
  end
  assign out_valid = result, out_acc = acc%%flags;
endmodule
