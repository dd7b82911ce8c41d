"""A small language model of real text: the characters of Python's standard library, each from those before it.

The text are the modules beside ``os``, whole files of which are held out. The model is a transformer of two layers,
with normalization in front, on windows of 64 characters; printable ASCII and the line's end have numbers of their own,
all else has number 0.
"""

import copy
import os
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vsq.golden.workloads.metrics import Score, share
from vsq.golden.workloads.workload import Workload

WINDOW, BATCH = 64, 16
WIDTH, HEADS, LAYERS, CHARACTERS = 64, 4, 2, 97
HELD_OUT = 12  # files
CALIBRATION, EVALUATION = 32, 512  # windows
STEPS, FURTHER_STEPS = 1000, 250


class Characters(nn.Module):
    """The model: windows of characters [B, L] to the logits [B, L, 97] of the ones that follow."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.positions = nn.Embedding(CHARACTERS, WIDTH), nn.Embedding(WINDOW, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, CHARACTERS)

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        length = characters.shape[1]
        x = self.embedding(characters) + self.positions.weight[:length]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=x.device)
        logits: torch.Tensor = self.head(self.encoder(x, mask=mask, is_causal=True))
        return logits


@dataclass(frozen=True, eq=False)
class LearnedText:
    """The trained model with its data: characters [n] to learn from, and windows [B, 65] of other files."""

    model: Characters
    characters: torch.Tensor
    held_out: torch.Tensor


@cache
def load(seed: int = 0) -> LearnedText:
    """Return the model, trained once per process in about 20 s; the seed fixes the files held out, and all else.

    Accuracies are of one release of Python, whose text it is, and of one machine and release of PyTorch.
    """
    drawn = np.random.default_rng(seed)
    files = [_numbers(path) for path in sorted(Path(os.__file__).parent.glob("*.py"))]
    order = drawn.permutation(len(files))
    held_out, learned = (np.concatenate([files[i] for i in part]) for part in (order[:HELD_OUT], order[HELD_OUT:]))
    starts = drawn.choice(len(held_out) - WINDOW, EVALUATION, replace=False)
    windows = torch.from_numpy(held_out[starts[:, None] + np.arange(WINDOW + 1)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Characters()
    text = LearnedText(model, torch.from_numpy(learned), windows)
    _train(model, text.characters, seed, STEPS, 3e-3)
    model.eval()
    return text


def workload(seed: int = 0) -> Workload:
    """Return the model with the share of characters that it predicts."""
    text = load(seed)

    @torch.no_grad()
    def evaluate(model: nn.Module) -> Score:
        found = torch.cat([model(windows[:, :-1]).argmax(dim=-1) for windows in torch.split(text.held_out, 64)])
        return share(int((found == text.held_out[:, 1:]).sum()), found.numel())

    return Workload(
        name="stdlib",
        metric="accuracy",
        model=lambda: copy.deepcopy(text.model),
        calibrate=lambda model: model(_windows(text.characters, np.random.default_rng(seed), CALIBRATION)[:, :-1]),
        evaluate=evaluate,
        train=lambda model: _train(model, text.characters, seed + 1, FURTHER_STEPS, 1e-3),
        drawn=workload,
        configs=("4/4/4/6", "3/3/4/6"),
    )


def _numbers(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return a file's characters as numbers below 97."""
    codes = np.frombuffer(path.read_bytes(), np.uint8).astype(np.int64)
    return np.where(codes == ord("\n"), 1, np.where((codes >= 32) & (codes < 127), codes - 30, 0))


def _windows(characters: torch.Tensor, drawn: np.random.Generator, count: int) -> torch.Tensor:
    """Return random windows with the character behind each, [count, 65]."""
    starts = torch.from_numpy(drawn.integers(len(characters) - WINDOW, size=count))
    return characters[starts[:, None] + torch.arange(WINDOW + 1)]


def _train(model: nn.Module, characters: torch.Tensor, seed: int, steps: int, rate: float) -> None:
    """Train a model in place; a generator of its own and one thread keep the result reproducible."""
    drawn = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        for _ in range(steps):
            windows = _windows(characters, drawn, BATCH)
            optimizer.zero_grad()
            logits = model(windows[:, :-1])
            functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
