"""Multiply-accumulates: counted as formulas say, whatever the layer and the context."""

import contextlib
import io

import pytest
from rich.console import Console

torch = pytest.importorskip("torch")
nn = torch.nn
functional = nn.functional

from vsq.golden.nn.quantize import quantize
from vsq.golden.nn.work import counting

B, L, E = 3, 5, 8


class Own(nn.Module):
    """Products of a parameter that no layer has."""

    def __init__(self):
        super().__init__()
        self.own = nn.Parameter(torch.randn(2, E, E))
        self.embedding = nn.Parameter(torch.randn(L, E))
        self.fc = nn.Linear(E, E)

    def forward(self, x):
        return torch.einsum("ble,hef->hblf", self.fc(x) + self.embedding, self.own.bfloat16().float()).sum(dim=0)


def of(module, *inputs):
    with counting(module, []) as work:
        module(*inputs)
    return work.floating, work.floating_products


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, contextlib.nullcontext])
def test_counts_are_those_of_the_formulas(context):
    with context():
        x, q = torch.randn(B, L, E), torch.randn(B, 2, L, E)
        assert of(nn.Linear(E, 7), x) == (B * L * E * 7, 0)
        assert of(nn.Linear(E, 7, bias=False), x) == (B * L * E * 7, 0)
        assert of(nn.Conv1d(L, 6, 3), x) == (B * 6 * 6 * L * 3, 0)
        assert of(nn.Conv2d(4, 4, 3, groups=4, padding=1), torch.randn(B, 4, L, E)) == (B * L * E * 4 * 9, 0)
        assert of(nn.ConvTranspose1d(L, 6, 3, stride=2), x) == (B * E * L * 6 * 3, 0)
        assert of(nn.LSTM(E, 6, batch_first=True), x) == (B * L * 4 * 6 * (E + 6), 0)
        assert of(nn.GRU(E, 6, batch_first=True), x) == (B * L * 3 * 6 * (E + 6), 0)
        assert of(nn.Bilinear(E, E, 7), x, x) == (B * L * E * E * 7, 0)
        attention = nn.MultiheadAttention(E, 2, batch_first=True)  # in training mode not fused
        assert of(attention, x, x, x) == (B * L * 4 * E * E, B * 2 * L * L * E)
        with counting(nn.Identity(), []) as work:
            functional.scaled_dot_product_attention(q, q, q)
            q @ q.transpose(-2, -1)
        assert (work.floating, work.floating_products) == (0, 3 * B * 2 * L * L * E)


@pytest.mark.filterwarnings("ignore:.*nested tensors is in prototype stage")
def test_fused_and_nested_layers_are_counted():
    layer = nn.TransformerEncoderLayer(E, 2, 16, batch_first=True).eval()
    with torch.no_grad():
        assert of(layer, torch.randn(B, L, E))[0] == B * L * (4 * E * E + 2 * E * 16)
        nested = torch.nested.nested_tensor([torch.randn(2, E), torch.randn(4, E)])
        assert of(nn.Linear(E, 7), nested) == (6 * E * 7, 0)


def test_the_summary_says_what_is_quantized():
    console = Console(file=io.StringIO(), width=150)
    model, x = nn.Sequential(Own(), nn.Linear(E, E), nn.LayerNorm(E)), torch.randn(B, L, E)
    with pytest.warns(UserWarning, match=r"^1 layer stays in float: 1 \(0\) Own is not supported$"):
        quantize(model, "4/4/4/6", lambda model: model(x), console=console)
    *_, kinds, counted = console.file.getvalue().splitlines()
    assert kinds == "in float: 1 Own, 1 LayerNorm"
    inside = 2 * B * L * E * E
    outside = B * L * E * E * 2
    share = f"{inside / (inside + outside):.2%}"
    assert counted.startswith(f"multiply-accumulates with weights: {inside + outside:,}, {share} quantized")


def test_parameters_that_are_added_are_no_layer(recwarn):
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.positions, self.fc = nn.Parameter(torch.randn(L, E)), nn.Linear(E, E)

        def forward(self, x):
            return self.fc(x + self.positions)

    quantize(Positions(), "4/4/4/6", lambda model: model(torch.randn(B, L, E)))
    assert not recwarn.list
