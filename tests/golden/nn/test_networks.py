"""Networks of torchvision and transformers with random weights: what share is quantized, and what they compute."""

import io
import re
import secrets
import sys
from importlib.util import find_spec

import pytest
from rich.console import Console

torch = pytest.importorskip("torch")
nn = torch.nn

from vsq.golden.contract.errors import InputError
from vsq.golden.nn.layers.product import QuantizedProduct
from vsq.golden.nn.quantize import prepare, quantize, quantized_layers
from vsq.golden.quantizer.scheme import Scheme

SIZES = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 90,
    "hidden_size": 48,
    "intermediate_size": 100,
}
GROUPED = SIZES | {"num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 1}


@pytest.fixture(autouse=True)
def _seed():
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    torch.manual_seed(seed)


def package(name):
    """Return torchvision or transformers.

    Beside a PyTorch without CUDA the operators of torchvision's usual build cannot be loaded. None of the networks here
    has one, but importing the package, as transformers does too, asks for two; these are declared.
    """
    for needed in ("torchvision", name):
        if not find_spec(needed):
            pytest.skip(f"{needed} is not installed")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            declared.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        package.declared = declared  # which withdraws them when it goes
        for module in [module for module in sys.modules if module.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
    return pytest.importorskip(name)


def images(batch=2, size=32):
    return torch.rand(batch, 3, size, size)


def settled(model):
    """Return a network whose BatchNorms know their statistics: else its outputs vanish."""
    with torch.no_grad():
        for _ in range(20):
            model.train()(images(8))
    return model, images


def resnet():
    return settled(package("torchvision").models.resnet18())


def mobilenet():
    return settled(package("torchvision").models.mobilenet_v2(width_mult=0.25, num_classes=10))


def vit():
    package("torchvision")
    from torchvision.models import VisionTransformer

    model = VisionTransformer(32, 8, 2, 2, 48, 100, num_classes=10)
    nn.init.normal_(model.heads.head.weight)  # zero as it is made
    return model, lambda batch=2: images(batch)


class Tokens(nn.Module):
    """A language model of tokens alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens, mask=None):
        return self.model(input_ids=tokens, attention_mask=mask)[0]


def language(kind, **options):
    """Return the network of a configuration, of two layers."""
    transformers = package("transformers")
    config = getattr(transformers, f"{kind}Config")(**options)
    head = "BertForMaskedLM" if kind == "Bert" else "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    return Tokens(getattr(transformers, head)(config)), lambda batch=2: torch.randint(90, (batch, 5 + 2 * batch))


NETWORKS = {
    "MobileNet-V2": mobilenet,
    "ViT": vit,
    "GPT-2": lambda: language("GPT2", n_embd=48, n_layer=2, n_head=4, vocab_size=90, bos_token_id=0, eos_token_id=1),
    "BERT": lambda: language("Bert", **SIZES),
    "Llama": lambda: language("Llama", **GROUPED),
    "Mixtral": lambda: language("Mixtral", **GROUPED, num_local_experts=4),
}


def relative(y, want):
    return ((y - want).norm() / want.norm()).item()


def shows(name, config="8/8/8/8"):
    """Quantize a network, and check the summary and the outputs of another batch; return both networks and a batch."""
    model, inputs = (NETWORKS | {"ResNet-18": resnet})[name]()
    model.eval()
    console = Console(file=io.StringIO(), width=200)
    quantized = quantize(model, config, lambda model: model(inputs()), console=console)
    share = re.search(r"([\d.]+)% quantized", console.file.getvalue())
    assert float(share[1]) >= 98
    x = inputs(3)
    with torch.no_grad():
        y = quantized(x)
        assert relative(y, model(x)) < 0.1
    with torch.inference_mode():
        assert torch.equal(quantized(x), y)
    return quantized, x, y


NEVER_HIT = "ignore:.*never ran in calibration"
ROUTER = "ignore:.*MixtralTopKRouter is not supported"


@pytest.mark.filterwarnings(NEVER_HIT, ROUTER)
@pytest.mark.parametrize("name", NETWORKS)
def test_nearly_all_multiply_accumulates_are_quantized(name):
    quantized, *_ = shows(name)
    assert quantized_layers(quantized)


@pytest.mark.filterwarnings(NEVER_HIT, ROUTER)
@pytest.mark.parametrize(
    ("name", "norms", "layers", "stated"),
    [("ViT", 4, 8, 0), ("GPT-2", 4, 4, 0), ("BERT", 0, 0, 10), ("Llama", 4, 10, 0), ("Mixtral", 2, 6, 0)],
)
def test_pre_norm_networks_take_up_smoothing(name, norms, layers, stated):
    model, inputs = NETWORKS[name]()
    x, console = inputs(), Console(file=io.StringIO(), width=200)
    quantized = quantize(model.eval(), Scheme(config="8/8/8/8", smoothing=0.5), lambda model: model(x), console=console)
    folded = re.search(r"folded into (\d+): (\d+) layers' inputs", console.file.getvalue())
    assert (int(folded[1]), int(folded[2])) == (norms, layers) if norms else folded is None
    assert sum(layer.input_multiplier is not None for layer in quantized_layers(quantized).values()) == stated
    with torch.no_grad():
        assert relative(quantized(x), model(x)) < 0.1


def padded(inputs):
    """Return a loop over tokens of which one row begins with padding, giving the others' logits."""
    tokens = inputs()
    mask = torch.ones_like(tokens)
    mask[0, :3] = 0
    return lambda model: model(tokens, mask)[mask > 0]


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["GPT-2", "BERT", "Llama"])
def test_attention_of_transformers_has_products(name, implementation):
    model, inputs = NETWORKS[name]()
    model.eval().model.set_attn_implementation(implementation)
    loop, console = padded(inputs), Console(file=io.StringIO(), width=200)
    with torch.no_grad():
        y, config = loop(model), model.model.config.to_dict()
        fine = quantize(model, "8/8/8/8", loop, products="16/16/16/16", skip="*", console=console)
        assert re.search(r"of two activations: [\d,]+, 100.00% quantized", console.file.getvalue())
        assert sum(isinstance(part, QuantizedProduct) for part in fine.modules()) == 4
        torch.testing.assert_close(loop(fine), y, rtol=1e-3, atol=1e-3)
        assert model.model.config.to_dict() == fine.model.config.to_dict() == config
        coarse = quantize(model, "8/8/8/8", loop, products="2/2/4/4", inplace=True)
        assert not torch.allclose(loop(coarse), y, rtol=0.01, atol=1e-3)
        other = prepare(NETWORKS[name]()[0].eval(), "8/8/8/8", products="2/2/4/4")
        other.model.set_attn_implementation(implementation)
        other.load_state_dict(coarse.state_dict())
        assert torch.equal(loop(other), loop(coarse))


def test_products_of_attention_serve_a_cache_of_keys():
    model, inputs = NETWORKS["Llama"]()
    x = inputs()
    quantized = quantize(model.eval(), "8/8/8/8", lambda model: model(x), products="8/8/8/8:R=12")
    with torch.no_grad():
        tokens = quantized.model.generate(x, max_new_tokens=3, do_sample=False, eos_token_id=None)
        for count in range(x.shape[1], tokens.shape[1]):
            logits = quantized(tokens[:, :count])[:, -1]
            chosen = logits.gather(1, tokens[:, count, None])[:, 0]
            torch.testing.assert_close(chosen, logits.amax(dim=1), rtol=0.05, atol=0.01)


def test_attention_whose_products_cannot_be_taken_out():
    model, inputs = NETWORKS["Llama"]()
    model.model.config._attn_implementation = "flex_attention"
    with pytest.raises(InputError, match=r"^products of 'model.model.layers.0.self_attn': .* 'flex_attention' has no"):
        prepare(model, "8/8/8/8", products="8/8/8/8")
    model, inputs = language("GptOss", **GROUPED, head_dim=12, num_local_experts=2)
    with pytest.raises(InputError, match=r"^products of '.*': the attention of GptOssAttention is not"):
        quantize(model, "8/8/8/8", lambda model: model(inputs()), products="8/8/8/8")


@pytest.mark.slow
def test_resnet_is_quantized():
    quantized, *_ = shows("ResNet-18")
    assert len(quantized_layers(quantized)) == 21


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler warns of its own parts
@pytest.mark.parametrize(
    ("name", "config"), [("MobileNet-V2", "8/8/8/8"), ("ViT", "4/8/6/10:R=8"), ("GPT-2", "8/8/8/8")]
)
def test_networks_compile(name, config):
    model, inputs = NETWORKS[name]()
    quantized = quantize(model.eval(), config, lambda model: model(inputs()))
    x = inputs()
    with torch.no_grad():
        want = quantized(x)
        torch.testing.assert_close(torch.compile(quantized)(x), want, rtol=1e-2, atol=1e-2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # PyTorch's compiler warns of its own parts
def test_products_of_attention_compile():
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "num_hidden_layers": 1}
    model, inputs = language("Llama", **(GROUPED | sizes | {"num_key_value_heads": 1}))
    x = inputs()
    quantized = quantize(model.eval(), "8/8/8/8", lambda model: model(x), skip="*", products="8/8/8/8")
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(quantized)(x), quantized(x), rtol=1e-2, atol=1e-2)
