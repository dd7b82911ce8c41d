"""The vector MAC: datapath, control and pipeline."""
