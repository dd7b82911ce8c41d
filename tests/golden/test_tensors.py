"""Export and import of integers: exact round trips, and one clear line for every broken file."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.io import layers
from vsq.golden.io.layer import IntegerLayer
from vsq.golden.quantizer.core import Quantizer

CONFIGS = [
    "4/4U/4/6",
    "4/4/4/6:narrow=1",
    "8/8/-/-",
    "6/8/-/10",
    "8/8/6/-",
    "5/7/3/9:V=24,R=6,round=half_even",
    "16/16U/16/16:V=3",
]
SUFFIXES = [".npz", ".safetensors"]


def layer(config, **options):
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((6, 3, 40)) * 0.1
    activations = np.abs(rng.standard_normal((9, 3, 40)))
    inputs = Quantizer.for_activations(config, **options).quantize(activations)
    return {
        "fc": IntegerLayer(
            config=config,
            weights=Quantizer.for_weights(config, **options).quantize(weights),
            inputs=inputs,
            input_gamma=inputs.gamma,
            bias=None,
        )
    }


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    if request.param == ".safetensors":
        pytest.importorskip("safetensors")
    return tmp_path / f"layer{request.param}"


@pytest.mark.parametrize("text", CONFIGS)
def test_round_trip_is_exact(path, text):
    config = MacConfig.parse(text)
    before = layer(config, order="paper", scale_rounding="ceil")
    layers.save(path, before)
    after = layers.load(path)
    assert list(after) == list(before)
    assert after["fc"].config == config
    for name in ("weights", "inputs"):
        tensor, read = getattr(before["fc"], name), getattr(after["fc"], name)
        assert read.format == tensor.format
        assert read.length == tensor.length
        for part in ("codes", "scales", "gamma"):
            ours, theirs = getattr(tensor, part), getattr(read, part)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.dtype == theirs.dtype
                np.testing.assert_array_equal(ours, theirs)
        assert read.dequantize().tobytes() == tensor.dequantize().tobytes()
    again = path.with_stem("again")
    layers.save(again, after)
    assert again.read_bytes() == path.read_bytes()
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([path.name, again.name])


def test_every_damage_is_noticed(path):
    """Whatever bytes are damaged or cut off, the file is refused in one line, or reads exactly as before."""
    config = MacConfig.parse("4/4U/4/6")
    weights = Quantizer.for_weights(config).quantize(np.ones((1, 3)))
    before = IntegerLayer(config=config, weights=weights, inputs=None, input_gamma=np.float32(1), bias=None)
    layers.save(path, {"fc": before})
    good = path.read_bytes()
    refused = 0
    for position in range(0, len(good), 3):
        damaged = bytearray(good)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        if message(path) is not None:
            refused += 1
        else:
            after = layers.load(path)["fc"]
            assert after.config == config
            assert after.weights.dequantize().tobytes() == weights.dequantize().tobytes()
    assert refused > len(good) / 3 / 2
    for length in range(0, len(good), 29):
        path.write_bytes(good[:length])
        assert message(path) is not None


def message(path):
    """Return the error line of reading ``path``, or None if it can be read."""
    try:
        layers.load(path)
    except InputError as error:
        line = str(error)
    else:
        return None
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def edit(path, change):
    """Rewrite an npz file with ``change(arrays, metadata)`` applied."""
    with np.load(path) as file:
        arrays = dict(file)
    metadata = json.loads(str(arrays.pop("metadata")))
    change(arrays, metadata)
    np.savez(path, metadata=np.array(json.dumps(metadata)), **arrays)


def set_code(arrays, metadata):
    arrays["fc.weights.codes"][0, 0, 0, 0] = 9


def flip_code(arrays, metadata):
    arrays["fc.inputs.codes"][0, 0, 0, 0] ^= 1


def set_padding(arrays, metadata):
    arrays["fc.weights.codes"][0, 0, -1, -1] = 1


def cut_scales(arrays, metadata):
    arrays["fc.weights.scales"] = arrays["fc.weights.scales"][:, :, :-1]


def cut_codes(arrays, metadata):
    arrays["fc.weights.codes"] = arrays["fc.weights.codes"][:-1]


def spoil_gamma(arrays, metadata):
    arrays["fc.inputs.gamma"][:] = np.nan


CHANGES = [
    (set_code, "fc.weights.codes[0, 0, 0, 0] = 9"),
    (set_padding, "padding after element 40"),
    (cut_scales, "fc.weights.scales: shape (6, 3, 2)"),
    (cut_codes, "fc.weights.codes: shape (5, 3, 3, 16)"),
    (spoil_gamma, "fc.inputs.gamma: must be float32, finite"),
    (lambda arrays, metadata: arrays.pop("fc.weights.gamma"), "fc.weights.gamma"),
    (lambda arrays, metadata: arrays.update(extra=np.zeros(3)), "extra is not in the metadata"),
    (lambda arrays, metadata: metadata.update(version=1), "version 1"),
    (lambda arrays, metadata: metadata["layers"]["fc"].pop("config"), "'config'"),
    (lambda arrays, metadata: metadata["layers"]["fc"].update(config="4/4U/9"), "4/4U/9"),
    (
        lambda arrays, metadata: metadata["layers"]["fc"].update(config="4/4U/4/6:V=8"),
        "V=16 are of neither side of 4/4U/4/6:V=8",
    ),
    (lambda arrays, metadata: metadata.update(layers=[]), "metadata"),
    (lambda arrays, metadata: metadata["layers"]["fc"]["weights"].update(granularity="other"), "granularity 'other'"),
    (lambda arrays, metadata: metadata["layers"]["fc"]["weights"].update(vector_size="a"), "metadata"),
    (lambda arrays, metadata: metadata["layers"]["fc"]["weights"].update(shape=[6, 3, -1]), "shape"),
    (lambda arrays, metadata: metadata["layers"]["fc"]["weights"].update(note="paper"), "sha256"),
    (flip_code, "sha256"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_files_that_contradict_themselves_are_refused(tmp_path, change, words):
    path = tmp_path / "layer.npz"
    config = MacConfig.parse("4/4U/4/6")
    layers.save(path, layer(config))
    edit(path, change)
    text = message(path)
    assert text is not None
    assert words in text


def test_missing_and_foreign_files(tmp_path, path):
    assert "No such file" in message(path)
    path.write_bytes(b"PK\x03\x04 this is nothing")
    assert "no file of exported tensors" in message(path)
    assert ".npz, .safetensors" in message(tmp_path / "layer.pt")


def test_nothing_half_written(tmp_path, path):
    config = MacConfig.parse("4/4U/4/6")
    good = layer(config)["fc"]
    bad = replace(good, weights=replace(good.weights, codes=good.weights.codes + 15))
    with pytest.raises(InputError, match=r"weights\.codes"):
        layers.save(path, {"fc": bad})
    with pytest.raises(InputError, match=r"neither side of 8/8/-/-"):
        layers.save(path, {"fc": replace(good, config=MacConfig.parse("8/8/-/-"))})
    with pytest.raises(InputError, match=r"\.npz, \.safetensors"):
        layers.save(tmp_path / "layer.pt", {"fc": good})
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        layers.save(tmp_path / "file" / path.name, {"fc": good})
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_npz_needs_numpy_only():
    code = "import sys, vsq.golden.io.layers; sys.exit(bool({'torch', 'safetensors'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
