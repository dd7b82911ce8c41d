"""Bit-exact models: the vector MAC's datapath, the processing element and its post-processing."""
