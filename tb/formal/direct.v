  wire [%%beat_high:0] beat0 = {%%beat};
  wire valid0 = in_valid, first0 = in_first | fresh, last0 = in_last;
  assign in_ready = free0;
