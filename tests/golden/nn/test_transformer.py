"""PyTorch's transformer layers, which have fused paths of their own past the layers inside."""

import contextlib

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn import integer
from vsq.golden.nn.quantize import quantize, quantized_layers

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*stays in float"),
    pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype stage"),
]
WIDTH, HEADS = 20, 2
COARSE = "2/2/2/2"
PARTS = ["linear1", "linear2", *(f"self_attn.{part}_proj" for part in ("q", "k", "v", "out"))]


def tokens(seed=0):
    return torch.tensor(np.random.default_rng(seed).standard_normal((3, 5, WIDTH)), dtype=torch.float32)


def encoder(batch_first=True, nested=False):
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 24, dropout=0.0, batch_first=batch_first)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()


def layer_by_layer(model, x, mask=None):
    """The encoder's formula, with its own parts."""
    for part in model.layers:
        attended = part.self_attn(x, x, x, key_padding_mask=mask, need_weights=False)[0]
        x = part.norm1(x + attended)
        x = part.norm2(x + part.linear2(part.activation(part.linear1(x))))
    return x


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("training", [False, True])
def test_an_encoder_computes_with_the_quantized_layers(context, batch_first, training):
    float_model = encoder(batch_first).train(training)
    with context():
        model = quantize(float_model, COARSE, lambda model: model(tokens()))
        y = model(tokens(1))
        assert torch.equal(y, layer_by_layer(model, tokens(1)))
        assert (y - float_model(tokens(1))).abs().max() > 0.1
    assert {*quantized_layers(model)} == {f"layers.{layer}.{part}" for layer in (0, 1) for part in PARTS}


def test_nested_tensors_of_padded_batches():
    """Padding makes the encoder pass nested tensors, in which there is none; its outputs there are 0."""
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    float_model = encoder(nested=True)
    with torch.no_grad():
        model = quantize(float_model, COARSE, lambda model: model(tokens(), src_key_padding_mask=mask))
        y = model(tokens(1), src_key_padding_mask=mask)
        assert y[mask].eq(0).all()
        for row, hidden, of_row in zip(tokens(1), mask, y, strict=True):
            alone = layer_by_layer(model, row[None, ~hidden])
            torch.testing.assert_close(of_row[None, ~hidden], alone, rtol=1e-4, atol=1e-4)
        assert (y - float_model(tokens(1), src_key_padding_mask=mask)).abs().max() > 0.1
        with integer.inference(model) as differences:
            model(tokens(1), src_key_padding_mask=mask)
    assert {difference.outputs for difference in differences.values()} == {12 * 24, 12 * WIDTH}
    assert max(difference.share for difference in differences.values()) <= 1


def test_what_an_attention_never_calls_is_named():
    class Own(nn.MultiheadAttention):
        def forward(self, x):
            return super().forward(x, x, x)[0]

    model = nn.Sequential(Own(WIDTH, HEADS, batch_first=True), nn.Linear(WIDTH, 4))
    with pytest.warns(UserWarning, match="in float") as caught:
        quantized = quantize(model, "4/4/4/6", lambda model: model(tokens()))
    assert [str(warning.message) for warning in caught] == [
        "2 layers stay in float: 1 (0) Own has its own forward; 1 (0.out_proj) is not called by its MultiheadAttention",
    ]
    assert {*quantized_layers(quantized)} == {"1"}
