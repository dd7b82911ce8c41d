module undefined;
  reg clk = 0;
  reg [%%in_high:0] inputs = {(%%in_high+1){1'bx}};
  wire [%%out_high:0] outputs;
  reg [%%in_high:0] driven [0:%%rows-1];
  reg [%%out_high:0] due [0:%%rows-1], promised [0:%%rows-1];
  integer row;
  %%design
  initial begin
    $readmemb("inputs.memb", driven);
    $readmemb("outputs.memb", due);
    $readmemb("promised.memb", promised);
    repeat (8) #1 clk = !clk;
    for (row = 0; row < %%rows; row = row + 1) begin
      inputs = driven[row];
      #1 if (((outputs ^ due[row]) & promised[row]) !== 0) begin
        $display("cycle %0d: outputs %b, due %b", row, outputs, due[row]);
        $finish;
      end
      clk = 1;
      #1 clk = 0;
    end
    $display("passed");
    $finish;
  end
endmodule
