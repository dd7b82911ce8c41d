module bench(input clk, input [%%in_high:0] inputs);
  wire [%%out_high:0] outputs;
  wire [%%places:0] valid, last;
  assign valid[%%places] = 0, last[%%places] = 0;
%%held
  %%design
  protocol #(.DEPTH(%%depth), .PLACES(%%places), .WIDTH(%%width), .ASYNC(%%asynchronous), .RESET(%%resets)) properties(.clk(clk), .rst(inputs[0]), .out_ready(inputs[1]),
    .in_valid(inputs[2]), .in_last(inputs[%%in_high]), .in_ready(outputs[0]), .out_valid(outputs[1]),
    .payload(outputs[%%out_high:2]), .stages(valid & last));
endmodule
