"""Modules that pack their weights: taken apart into layers they compute what they did, and are quantized."""

import contextlib
import itertools
import secrets
import sys
import types
import warnings

import pytest

from vsq.golden.contract.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.layers import registry
from vsq.golden.nn.layers.attention import PartedAttention
from vsq.golden.nn.layers.base import QuantizedLayer
from vsq.golden.nn.layers.experts import Experts
from vsq.golden.nn.quantize import quantize, quantized_layers

FLAGS = ("batch_first", "bias", "add_bias_kv", "add_zero_attn")


@pytest.fixture(autouse=True)
def _seed():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    torch.manual_seed(seed)


def masks(batch, heads, length, keys):
    """Yield arguments that hide keys; the first key is always seen."""
    hidden = torch.rand(length, keys) < 0.4
    hidden[:, 0] = False
    padding = torch.rand(batch, keys) < 0.4
    padding[:, 0] = False
    each = (torch.rand(batch * heads, length, keys) < 0.4).logical_and(torch.arange(keys) > 0)
    yield {}
    yield {"attn_mask": hidden}
    yield {"attn_mask": torch.randn(length, keys), "key_padding_mask": padding.float() * -9}
    yield {"attn_mask": each, "key_padding_mask": padding}


@pytest.mark.parametrize("flags", [*itertools.product([False, True], repeat=4)])
@pytest.mark.parametrize("widths", [{}, {"kdim": 6, "vdim": 10}])
def test_attention_computes_what_it_did(flags, widths):
    options = dict(zip(FLAGS, flags, strict=True))
    heads, width, batch = 3, 12, 2
    packed = nn.MultiheadAttention(width, heads, **options, **widths).eval()
    for parameter in packed.parameters():
        nn.init.normal_(parameter)
    parted = registry.parts_of(packed)
    length, keys = 5, 7
    shapes = ((length, width), (keys, widths.get("kdim", width)), (keys, widths.get("vdim", width)))
    lead = (lambda size: (batch, size)) if options["batch_first"] else (lambda size: (size, batch))
    inputs = [torch.randn(*lead(size), depth) for size, depth in shapes]
    alone = [torch.randn(size, depth) for size, depth in shapes]
    for average, needed in ((True, True), (False, True), (True, False)):
        how = {"need_weights": needed, "average_attn_weights": average}
        for mask in masks(batch, heads, length, keys):
            calls = [(inputs, mask)]
            if "attn_mask" not in mask or mask["attn_mask"].ndim == 2:
                calls.append(
                    (alone, {name: value if name == "attn_mask" else value[0] for name, value in mask.items()})
                )
            for arguments, hiding in calls:
                for got, want in zip(
                    parted(*arguments, **hiding, **how), packed(*arguments, **hiding, **how), strict=True
                ):
                    assert (got is None) == (want is None)
                    if want is not None:
                        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_attention_trains_as_it_did():
    packed = nn.MultiheadAttention(8, 2, dropout=0.3, batch_first=True).train()
    parted, x = registry.parts_of(packed), torch.randn(2, 5, 8)
    outputs = []
    for attention in (packed, parted):
        torch.manual_seed(1)
        outputs.append(attention(x, x, x)[0])
        outputs[-1].square().sum().backward()
    torch.testing.assert_close(*outputs)
    grads = [getattr(parted, f"{name}_proj").weight.grad for name in "qkv"]
    torch.testing.assert_close(torch.cat(grads), packed.in_proj_weight.grad)
    assert parted.q_proj.weight.data_ptr() == packed.in_proj_weight.data_ptr()
    with pytest.raises(RuntimeError, match="is_causal needs attn_mask"):
        parted(x, x, x, is_causal=True)


def test_attention_is_quantized_by_its_name_or_its_parts():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.head = nn.MultiheadAttention(16, 2), nn.Linear(16, 4)

        def forward(self, x):
            return self.head(self.attention(x, x, x)[0])

    x = torch.randn(5, 3, 16)
    model = Block().eval()
    parts = [f"attention.{name}_proj" for name in ("q", "k", "v", "out")]
    quantized = quantize(model, "8/8/8/8", lambda model: model(x))
    assert [*quantized_layers(quantized)] == [*parts, "head"]
    assert isinstance(quantized.attention, nn.MultiheadAttention)
    torch.testing.assert_close(quantized(x), model(x), rtol=0.1, atol=0.02)
    some = quantize(model, "8/8/8/8", lambda model: model(x), skip="attention.?_proj")
    assert [*quantized_layers(some)] == [parts[-1], "head"]
    none = quantize(model, "8/8/8/8", lambda model: model(x), skip="attention")
    assert [*quantized_layers(none)] == ["head"]
    assert type(none.attention) is nn.MultiheadAttention
    whole = quantize(model.attention, "8/8/8/8", lambda model: model(x, x, x))
    assert [*quantized_layers(whole)] == [name.removeprefix("attention.") for name in parts]
    with pytest.raises(ZeroDivisionError):
        quantize(model, "8/8/8/8", lambda model: (model(x), 1 / 0), inplace=True)
    assert type(model.attention) is nn.MultiheadAttention


class PackedExperts(nn.Module):
    """The experts of Mixtral as transformers 5 packs them."""

    def __init__(self, experts=4, width=12, inner=20):
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.randn(experts, 2 * inner, width) / 4)
        self.down_proj = nn.Parameter(torch.randn(experts, width, inner) / 4)
        self.act_fn = nn.SiLU()

    def forward(self, hidden_states, top_k_index, top_k_weights):
        gate, up = torch.einsum("th,eoh->teo", hidden_states, self.gate_up_proj).chunk(2, dim=-1)
        outputs = torch.einsum("tei,ehi->teh", self.act_fn(gate) * up, self.down_proj)
        chosen = outputs.gather(1, top_k_index[..., None].expand(-1, -1, outputs.shape[2]))
        return (chosen * top_k_weights[..., None]).sum(dim=1)


@contextlib.contextmanager
def registered(table, kind, entry):
    """Register a type for a while."""
    (registry.register if table == "layer" else registry.register_parts)(kind, entry)
    try:
        yield
    finally:
        del (registry._LAYERS if table == "layer" else registry._PARTS)[kind]


def test_packed_experts_are_linear_layers():
    packed, tokens = PackedExperts(), torch.randn(9, 12)
    weights, index = torch.rand(9, 4).topk(2)
    index = torch.where(index == 3, 0, index)  # expert 3 gets no token,
    index[:3, 0] = torch.arange(3)  # and each of the others does
    torch.testing.assert_close(Experts(packed)(tokens, index, weights), packed(tokens, index, weights))
    name = f"{PackedExperts.__module__}.{PackedExperts.__qualname__}"
    with (
        registered("parts", name, Experts),
        pytest.warns(UserWarning, match=r"2 \(3.gate_up_proj, 3.down_proj\) never"),
    ):
        quantized = quantize(packed, "8/8/8/8", lambda model: model(tokens, index, weights))
    assert [*quantized_layers(quantized)] == [f"{n}.{part}_proj" for n in range(3) for part in ("gate_up", "down")]
    got, want = (experts(tokens, index, weights) for experts in (quantized, packed))
    torch.testing.assert_close(got, want, rtol=0.1, atol=0.05)


class Transposed(nn.Module):
    """A user's layer: a Linear whose weights are [K, N], and that has no bias."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))
        self.mark = "the user's"

    def forward(self, x):
        return x @ self.weight


class QuantizedTransposed(QuantizedLayer):
    def rows(self, x):
        return x.float().reshape(-1, 1, x.shape[-1])

    def output(self, y, x):
        return y.reshape(*x.shape[:-1], y.shape[-1]).to(x.dtype)

    def weight_rows(self):
        return self.weight.float().T[:, None]


@pytest.mark.parametrize("text", ["4/4/4/6", "4/8/6/10:R=8"])
def test_a_user_registers_a_layer(text):
    x = torch.randn(5, 19)
    model = nn.Sequential(Transposed(19, 23), nn.ReLU(), Transposed(23, 7))
    twin = nn.Sequential(nn.Linear(19, 23, bias=False), nn.ReLU(), nn.Linear(23, 7, bias=False))
    with torch.no_grad():
        for ours, linear in ((model[0], twin[0]), (model[2], twin[2])):
            linear.weight.copy_(ours.weight.T)
    with pytest.raises(InputError, match=r"\(2 layers stay in float: 2 \(0, 2\) Transposed is not supported\)"):
        quantize(model, text, lambda model: model(x))
    with registered("layer", Transposed, QuantizedTransposed):
        quantized = quantize(model, text, lambda model: model(x))
    assert torch.equal(quantized(x), quantize(twin, text, lambda model: model(x))(x))
    assert quantized[0].mark == "the user's"
    quantized.load_state_dict(quantized.state_dict())


def test_what_cannot_be_registered():
    for call, arguments, words in (
        (registry.register, (Transposed, Transposed), "not a quantized layer type"),
        (registry.register, (Transposed(2, 2), QuantizedTransposed), "not a type of module"),
        (registry.register, (int, QuantizedTransposed), "not a type of module"),
        (registry.register_parts, (Transposed, None), "must make a module of a module"),
    ):
        with pytest.raises(InputError, match=words):
            call(*arguments)


class Marked(nn.Linear):
    """A subclass with the base's forward."""

    def __init__(self, *sizes, mark=None):
        super().__init__(*sizes)
        self.mark = mark


class Doubled(nn.Linear):
    def forward(self, input):
        return 2 * super().forward(input)


class DoubledConv(nn.Conv1d):
    def _conv_forward(self, input, weight, bias):
        return 2 * super()._conv_forward(input, weight, bias)


def replaced():
    layer = nn.Linear(8, 8)
    layer.forward = lambda x: x
    return layer


def old_norm():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(8, 8))


def test_subclasses_are_quantized_where_they_compute_as_their_base_does():
    x, hooked = torch.randn(4, 8), []
    model = nn.Sequential(Marked(8, 8, mark="kept"), nn.Linear(8, 8))
    model[0].register_forward_hook(lambda *_: hooked.append(1))
    quantized = quantize(model, "8/8/8/8", lambda model: model(x))
    assert [*quantized_layers(quantized)] == ["0", "1"]
    assert quantized[0].mark == "kept"
    hooked.clear()
    quantized(x)
    assert hooked == [1]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Doubled(8, 8), "Doubled has its own forward"),
        (lambda: DoubledConv(8, 8, 1), "DoubledConv has its own _conv_forward"),
        (replaced, "Linear has its own forward"),
        (old_norm, "Linear computes its weights"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)), "ParametrizedLinear computes its weights"),
        (lambda: nn.LazyLinear(8), "LazyLinear has no shape before it first runs"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature")
def test_what_computes_otherwise_stays_in_float_with_its_reason(make, reason):
    model = nn.ModuleDict({"odd": make(), "fc": nn.Linear(8, 4)})
    model.forward = lambda x: model["fc"](x)
    with pytest.warns(UserWarning, match="in float") as caught:
        quantize(model, "4/4/4/6", lambda model: model(torch.randn(2, 8)), inplace=True)
    assert [str(warning.message) for warning in caught] == [f"1 layer stays in float: 1 (odd) {reason}"]


def test_conv1d_of_transformers_is_known_without_importing_it(monkeypatch):
    """A module of that name stands in for the package."""
    module = types.ModuleType("transformers.pytorch_utils")
    kind = type("Conv1D", (Transposed,), {"__module__": module.__name__})
    monkeypatch.delitem(sys.modules, module.__name__, raising=False)  # other tests may have imported it
    model, x = nn.Sequential(kind(19, 5)), torch.randn(3, 4, 19)
    linear = nn.Linear(19, 5, bias=False)
    linear.weight = nn.Parameter(model[0].weight.detach().T.contiguous())
    twin = quantize(linear, "4/4/4/6", lambda model: model(x))
    assert torch.equal(quantize(model, "4/4/4/6", lambda model: model(x))(x), twin(x))
    assert isinstance(registry.parts_of(nn.MultiheadAttention(4, 2)), PartedAttention)
