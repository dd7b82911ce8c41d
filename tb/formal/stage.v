  reg valid%%i, first%%i, last%%i, active%%i;
  reg [%%beat_high:0] beat%%i;
  wire free%%h = !valid%%i | free%%i;
  always @(posedge clk) begin
    if (rst) valid%%i <= 0;
    else if (free%%h) valid%%i <= valid%%h;
    if (valid%%h & free%%h) {first%%i, last%%i, active%%i} <= {first%%h, last%%h, active%%h};
    if (valid%%h & free%%h & active%%h) beat%%i <= beat%%h;
  end
