"""One thread: the tests' small tensors gain nothing from more, and parallel workers would compete for the cores."""

from importlib.util import find_spec

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)
