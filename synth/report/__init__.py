"""The report of processing elements beside the paper's figures."""
