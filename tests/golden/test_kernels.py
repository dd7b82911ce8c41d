"""Libraries of the kernels: compiled once, by several at the same time too, and done without where they cannot be."""

import copy
import ctypes
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest

from vsq.golden.kernels import library as libraries

torch = pytest.importorskip("torch")

from vsq.golden.kernels import products, quantize
from vsq.golden.nn import quantize as networks


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = tmp_path / "number.cpp"
    path.write_text('extern "C" int number() { return 5; }')
    return path


def test_a_library_is_compiled_once_for_a_source(source):
    with ThreadPoolExecutor() as pool:
        [kept, again] = pool.map(libraries.built, [source, source])
    assert ctypes.CDLL(str(kept)).number() == 5
    made = kept.stat().st_mtime_ns
    assert kept == again == libraries.built(source)
    assert kept.stat().st_mtime_ns == made
    assert [*kept.parent.iterdir()] == [kept]
    source.write_text(source.read_text().replace("5", "6"))
    assert ctypes.CDLL(str(libraries.built(source))).number() == 6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CXX", "no-such-compiler"),
        ("CXX", "false"),
        ("CXX", "true"),  # which makes nothing
        ("CXX", "g++ 'un"),
        ("XDG_CACHE_HOME", "/dev/null"),
    ],
)
def test_without_a_compiler_or_a_cache_one_line_says_so(name, value, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(name, value)
    assert libraries.library.__wrapped__("products") is None
    [record] = caplog.records
    assert "PyTorch computes instead" in record.message
    assert (value if value != "g++ 'un" else "No closing quotation") in record.message
    assert "\n" not in record.message


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo >&2; exit 1", "returned non-zero exit status 1."),
        (r"printf '\377 is no text' >&2; exit 1", "is no text"),
        ("echo 'a.cpp: error: no C++' >&2; echo stopped >&2; exit 1", "a.cpp: error: no C++"),
        ('for last; do :; done; [ "$last" = /dev/null ] || echo text > "$last"', "made no library that can be loaded"),
    ],
)
def test_whatever_a_compiler_does_one_line_says_why_there_is_no_library(script, reason, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiler = tmp_path / "compiler"
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert libraries.library.__wrapped__("quantize") is None
    [record] = caplog.records
    assert record.message.endswith(reason)
    assert "\n" not in record.message
    assert not [*tmp_path.rglob("*.so")]


@pytest.mark.parametrize("damage", [lambda whole: b"", lambda whole: whole[:-4096], lambda whole: b"text" + whole])
def test_a_damaged_library_is_compiled_anew(damage, source):
    kept = libraries.built(source)
    whole = kept.read_bytes()
    kept.unlink()  # the mapped file stays as it is
    kept.write_bytes(damage(whole))
    assert libraries.built(source) == kept
    assert kept.read_bytes() == whole


def test_a_compiler_may_have_words_in_front(source, monkeypatch):
    monkeypatch.setenv("CXX", "env g++")
    assert ctypes.CDLL(str(libraries.built(source))).number() == 5


@pytest.mark.parametrize("config", ["4/4/4/6", "4/8/6/10:R=8", "8/8U/-/-:V=32", "e2m1/e4m3/ue4m3/6:V=5"])
def test_without_kernels_outputs_and_gradients_are_the_same(config, monkeypatch):
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    torch.manual_seed(seed)
    size = int(torch.randint(33, 80, ()))
    model, x = torch.nn.Sequential(torch.nn.Linear(size, 45), torch.nn.Linear(45, 9)), torch.rand(7, size)
    with torch.no_grad():
        model[0].weight.abs_()  # so that unsigned inputs stay so
        model[0].bias.abs_()
    quantized = networks.quantize(model, config, lambda copied: copied(x), mode="qat")
    found = []
    for available in (True, False):
        if not available:
            for kernel in (products, quantize):
                monkeypatch.setattr(kernel, "available", lambda: False)
        one = copy.deepcopy(quantized)
        y = one(x)
        y.square().sum().backward()
        found.append([y, *(parameter.grad for parameter in one.parameters())])
    assert all(map(torch.equal, *found))


@pytest.fixture(params=[True, False])
def kernels(request, monkeypatch):
    if not request.param:
        for kernel in (products, quantize):
            monkeypatch.setattr(kernel, "available", lambda: False)
    return request.param


@pytest.mark.parametrize("config", ["4/8/6/10:R=8", "e2m1/e4m3/ue4m3/6:V=5"])
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.*:DeprecationWarning")
def test_traced_layers_are_the_eager_ones(config, kernels):
    x = torch.rand(4, 20)
    quantized = networks.quantize(torch.nn.Linear(20, 9), config, lambda model: model(x))
    traced = torch.jit.trace(quantized, x)
    for given in (x, torch.rand(7, 20)):
        assert torch.equal(traced(given), quantized(given))


@torch.no_grad()
def test_nan_passes_through_compiled_integers(kernels):
    x = torch.rand(4, 20)
    quantized = networks.quantize(torch.nn.Linear(20, 9), "4/8/6/10:R=8", lambda model: model(x))
    compiled = torch.compile(quantized, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), quantized(x))
    assert compiled(x * torch.nan).isnan().all()
