  reg waits, first_waits, last_waits;
  reg [%%beat_high:0] beat_waits;
  wire [%%beat_high:0] beat0 = waits ? beat_waits : {%%beat};
  wire valid0 = waits | in_valid, first0 = waits ? first_waits : in_first | fresh, last0 = waits ? last_waits : in_last;
  assign in_ready = !waits;
  always @(posedge clk) begin
    waits <= !rst & valid0 & !free0;
    if (!waits) {first_waits, last_waits, beat_waits} <= {first0, last0, beat0};
  end
