"""Gate-level simulation of mapped netlists, for function and switching activity."""
