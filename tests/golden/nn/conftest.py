"""One thread: the tests' small tensors gain nothing from more, and parallel workers would compete for the cores."""

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("torch"):
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def seeded_without_gradients():
    seed = int(np.random.SeedSequence().entropy) % 2**63
    print(f"seed {seed}")
    torch.manual_seed(seed)
    with torch.no_grad():
        yield
