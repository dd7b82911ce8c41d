module %%module(input clk, %%ports);
  function signed [%%high:0] dot(input [%%beat_high:0] beat);
    dot = %%dot;
  endfunction
  function signed [%%high:0] factor(input [%%beat_high:0] beat);
    reg [%%high:0] p;
    begin
      p = %%product;
      p = (p >> %%shift) + (%%carry);
      factor = %%clamped;
    end
  endfunction

  reg fresh;
  always @(posedge clk) fresh <= rst | fresh & !(in_valid & in_ready);
  wire [%%beat_high:0] beat0 = {%%beat};
  wire valid0 = in_valid, first0 = in_first | fresh, last0 = in_last, active0 = %%active;
  assign in_ready = free0;
%%stages
  reg result, overflow;
  reg signed [%%acc_bits-1:0] acc;
  wire free%%depth = !result | out_ready;
  wire signed [%%high:0] total = (first%%depth ? 0 : acc) + dot(beat%%depth) * factor(beat%%depth);
  wire exceeds = total > %%most | total < %%least;
  always @(posedge clk) begin
    if (rst) result <= 0;
    else if (free%%depth) result <= valid%%depth & last%%depth;
    if (valid%%depth & free%%depth & active%%depth) begin
      acc <= %%policy;
      overflow <= exceeds | overflow & !first%%depth;
    end
  end
  assign out_valid = result, out_acc = acc%%flag;
endmodule
