// Plays the beats of text files: each line of <stream>.txt is a pause in cycles and a word, each of taking.txt whether
// results are taken in a cycle; later ones always are. results.txt receives each result in binary and how many beats
// of each stream were accepted before; its last line is the cycle, whether a waiting result changed, and those numbers.
`timescale 1ns/1ps
module playback;
  reg clk = 0, rst = 1, taking = 0, unstable = 0, waits = 0;
  integer idle = 0, cycle = 0, results = 0, code, chosen, file, rhythm, most, i;
  wire [%%streams-1:0] offers, accepts;
  wire [32*%%streams-1:0] sent;
  wire [%%word_bits-1:0] words;
  wire [%%payload_bits-1:0] payload;
  wire out_valid;
  reg [%%payload_bits-1:0] offered;
  always #1 clk = ~clk;
  initial begin
    if (!$value$plusargs("most=%d", most)) $fatal;
    file = $fopen("results.txt");
    rhythm = $fopen("taking.txt", "r");
  end
%%sources
  %%top dut(.clk(clk), .rst(rst),
    %%ports);

  task counts;
    begin
      for (i = 0; i < %%streams; i = i + 1) $fwrite(file, " %0d", sent[32*i +: 32]);
      $fwrite(file, "\n");
    end
  endtask

  always @(posedge clk) begin
    rst <= 0;
    code = $fscanf(rhythm, "%d", chosen);
    taking <= code == 1 ? chosen : 1;
    if (!rst) begin
      cycle <= cycle + 1;
      if (waits && (!out_valid || payload !== offered)) unstable <= 1;
      waits <= out_valid && !taking;
      offered <= payload;
      // Nothing undefined counts as a transfer.
      if (|(offers & accepts) === 1'b1 || (out_valid && taking) === 1'b1) idle <= 0;
      else idle <= idle + 1;
      if (out_valid && taking) begin
        results <= results + 1;
        $fwrite(file, "%b", payload);
        counts;
      end
      if (idle == %%idle || results > most) begin
        $fwrite(file, "%0d %0d", cycle, unstable);
        counts;
        $fclose(file);
        $finish;
      end
    end
  end
endmodule

module source #(parameter WIDTH = 1, FILE = "") (
  input clk, rst, ready, output reg valid, output reg [WIDTH-1:0] word, output reg [31:0] sent
);
  integer file, pause;
  reg more;
  reg [WIDTH-1:0] next;
  task read;
    more = $fscanf(file, "%d %h", pause, next) == 2;
  endtask
  initial begin
    valid = 0;
    sent = 0;
    file = $fopen(FILE, "r");
    read;
  end
  always @(posedge clk)
    if (!rst) begin
      if (valid && ready === 1'b1) sent <= sent + 1;
      if (!valid || ready === 1'b1) begin
        valid <= more && pause == 0;
        word <= next;
        if (more && pause == 0) read;
        else pause = pause - 1;
      end
    end
endmodule
