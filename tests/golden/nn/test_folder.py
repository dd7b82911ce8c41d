"""Quantized models as folders: the same outputs bit for bit, and other models refused in one line."""

import json

import pytest

import vsq

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.nn.layers.product import Product, QuantizedProduct
from vsq.golden.nn.planes.splitquant import split_model
from vsq.golden.nn.quantize import quantized_layers
from vsq.golden.nn.rules import Rule
from vsq.golden.quantizer.scheme import Scheme


class Network(nn.Module):
    """An embedding tied to the head, an attention, a convolution with BatchNorm, and a grouped one."""

    def __init__(self, seed, width=24, norm=True):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(40, width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.conv = nn.Conv1d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(width) if norm else nn.Identity()
        self.grouped = nn.Conv1d(width, width, 3, groups=4, padding=1)
        self.head = nn.Linear(width, 40, bias=False)
        self.head.weight = self.embedding.weight
        self.last = nn.Linear(40, 3)
        self.eval()

    def forward(self, tokens):
        x = self.embedding(tokens)
        x = x + self.attention(x, x, x, need_weights=False)[0]
        x = self.grouped(torch.relu(self.norm(self.conv(x.transpose(1, 2)))))
        return self.last(self.head(x.transpose(1, 2)))


RULES = [
    Rule(pattern="conv", scheme=Scheme(config="8/8/-/10:V=5", input_gamma="row", calibration="percentile")),
    Rule(pattern="grouped", scheme=Scheme(config="4/4/-/-", float_scales=True)),
    Rule(pattern="head", scheme=Scheme(config="4/8/6/10:R=8", weight_scales="mmse")),
]


def tokens(seed):
    return torch.randint(0, 40, (3, 7), generator=torch.Generator().manual_seed(seed))


def quantized(seed, mode="ptq"):
    model = Network(seed)
    for buffer in (model.norm.running_mean, model.norm.running_var):
        buffer.uniform_(0.5, 2)
    return vsq.quantize(model, "4/4/4/6", lambda model: model(tokens(1)), rules=RULES, skip=["last"], mode=mode)


@pytest.mark.parametrize("mode", ["ptq", "qat"])
@pytest.mark.parametrize("seed", [81, 82])
def test_the_model_comes_back_bit_for_bit(mode, seed, tmp_path):
    model = quantized(seed, mode)
    vsq.save(model, tmp_path / "model")
    fresh = Network(seed + 1)
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    loaded = vsq.load(tmp_path / "model", fresh)
    with torch.no_grad():
        assert torch.equal(loaded(tokens(5)), model(tokens(5)))
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())
    ours, theirs = quantized_layers(model), quantized_layers(loaded)
    assert [*ours] == [*theirs]
    assert all(layer.scheme == theirs[name].scheme for name, layer in ours.items())
    assert loaded.head.weight is loaded.embedding.weight
    state = loaded.state_dict()
    for name, value in model.state_dict().items():
        left_out = mode == "ptq" and name.removesuffix(".weight") in {*ours} - {"head"}
        same = state[name].numpy().tobytes() == value.numpy().tobytes()  # NaN too
        assert state[name].isnan().all() if left_out else same, name
    vsq.save(loaded, tmp_path / "again")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_the_configuration_is_readable(tmp_path):
    vsq.save(quantized(83), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["layers"]["conv"]["configuration"] == "8/8/-/10:V=5"
    assert config["layers"]["conv"]["calibration"] == "percentile"
    assert config["layers"]["grouped"]["configuration"] == "4/4/fp/fp"
    assert config["folded"] == {"norm": "conv"}
    assert config["model"] == "Network"
    vsq.save(quantized(84), tmp_path)  # replaces its own


def test_planes_of_one_sign(tmp_path):
    torch.manual_seed(85)
    x = torch.randn(4, 20)
    model = split_model(nn.Sequential(nn.Linear(20, 9)))
    model = vsq.quantize(model, "2/8/4/6", lambda model: model(x))
    vsq.save(model, tmp_path)
    loaded = vsq.load(tmp_path, split_model(nn.Sequential(nn.Linear(20, 9))))
    with torch.no_grad():
        assert torch.equal(loaded(x), model(x))


def test_what_calibration_adds_to_layers(tmp_path):
    """Multipliers of smoothed inputs, and a bias that corrects the mean."""
    torch.manual_seed(88)
    x = torch.randn(64, 24) * torch.linspace(0.1, 3, 24)
    scheme = Scheme(config="4/4/4/6", weight_codes="gptq", smoothing=0.5, bias_correction=True)

    def network():
        return nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 9, bias=False)).eval()

    float_model = network()
    float_model[0].weight.data.copy_(torch.linspace(0.1, 3, 24))
    model = vsq.quantize(float_model, scheme, lambda model: model[1](model[0](x)))  # or the norm takes them up
    assert model[1].input_multiplier is not None
    vsq.save(model, tmp_path)
    loaded = vsq.load(tmp_path, network())
    assert loaded[1].scheme == scheme
    with torch.no_grad():
        assert torch.equal(loaded(x), model(x))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Network(1, width=32),
            r"tensor '.*' has shape \(.*\), but \(.*\) in the model",
        ),
        (lambda: Network(1, norm=False), "BatchNorm 'norm', folded into 'conv', is not in the model"),
        (lambda: Network(1).double(), r"has type torch\.float32, but torch\.float64 in the model"),
        (lambda: nn.Sequential(nn.Linear(20, 9)), "is not in the model"),
    ],
)
def test_other_models_are_refused(make, message, tmp_path):
    vsq.save(quantized(86), tmp_path)
    with pytest.raises(vsq.InputError, match=message) as error:
        vsq.load(tmp_path, make())
    assert str(error.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(error.value)


class TwoAttentions(nn.Module):
    """Attention that runs, and another one that never does."""

    def __init__(self):
        super().__init__()
        self.used, self.unused = (nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))

    def forward(self, x):
        return self.used(x, x, x)[0]


@pytest.mark.filterwarnings("ignore:.*never ran in calibration")
@pytest.mark.parametrize("gamma", ["static", "row"])
def test_products_of_activations_come_back(gamma, tmp_path, seeded_without_gradients):
    model, x = TwoAttentions().eval(), torch.randn(2, 3, 8)
    scheme = Scheme(config="8/4/6/10:R=8", input_gamma=gamma)
    quantized = vsq.quantize(model, "8/8/6/10", lambda model: model(x), products=scheme)
    vsq.save(quantized, tmp_path)
    loaded = vsq.load(tmp_path, TwoAttentions().eval())
    assert torch.equal(loaded(x), quantized(x))
    products = [{name for name, part in one.named_modules() if isinstance(part, QuantizedProduct)}
                for one in (quantized, loaded)]  # fmt: skip
    assert products[0] == products[1] >= {"used.scores", "used.values"}
    with pytest.raises(vsq.InputError, match=r"product 'score': the model has none of that name; did you"):
        vsq.quantize(model, "8/8/6/10", lambda model: model(x), products={"score": scheme})


def test_broken_folders_are_refused(tmp_path):
    model = quantized(87)
    with pytest.raises(vsq.InputError, match="no layer is quantized"):
        vsq.save(Network(1), tmp_path)
    with pytest.raises(vsq.InputError, match=r"config\.json: cannot be read"):
        vsq.load(tmp_path, Network(1))
    vsq.save(model, tmp_path)
    tensors, config = tmp_path / "model.safetensors", tmp_path / "config.json"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(vsq.InputError, match=r"model\.safetensors was changed"):
        vsq.load(tmp_path, Network(1))
    vsq.save(model, tmp_path)
    config.write_text(config.read_text().replace('"4/4/4/6"', '"4/4/4/5"', 1))
    with pytest.raises(vsq.InputError, match=r"config\.json or .* was changed"):
        vsq.load(tmp_path, Network(1))
    tensors.unlink()
    with pytest.raises(vsq.InputError, match=r"model\.safetensors: cannot be read"):
        vsq.load(tmp_path, Network(1))
    config.write_text('{"architectures": []}')
    for call in (vsq.save, lambda model, folder: vsq.load(folder, model)):
        with pytest.raises(vsq.InputError, match="not a configuration of vsq"):
            call(model, tmp_path)
    assert not tensors.exists()


def test_gammas_are_float32_whatever_the_default_is(tmp_path):
    torch.set_default_dtype(torch.bfloat16)
    try:
        x = torch.rand(4, 20)
        quantized = vsq.quantize(nn.Linear(20, 3), "4/4/4/6", lambda model: model(x))
        vsq.save(quantized, tmp_path / "saved")
        loaded = vsq.load(tmp_path / "saved", nn.Linear(20, 3))
        gammas = [getattr(each, f"{side}_gamma") for each in (quantized, loaded) for side in ("input", "weight")]
        product = QuantizedProduct(Product(), Scheme(config="4/4/4/6"), "product")
        assert {gamma.dtype for gamma in (*gammas, product.left_gamma)} == {torch.float32}
        assert torch.equal(loaded(x), quantized(x))
    finally:
        torch.set_default_dtype(torch.float32)
