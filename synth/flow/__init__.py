"""The synthesis flow: RTLIL to a netlist of library cells."""
