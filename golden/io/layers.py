"""The layers of a quantized model in integers, with inputs to run them on; NumPy alone is needed.

A file, ``.npz`` or ``.safetensors``, holds for every layer ``NAME.weights`` and, if inputs were recorded,
``NAME.inputs``; ``NAME.bias`` and ``NAME.input_gamma``. A tensor stands there as ``.codes`` [..., G, V] and ``.scales``
[..., G] in the narrowest integer type of their formats, and ``.gamma`` in float32. A JSON text, ``metadata``, in a
``.safetensors`` file in the header, holds the version of this layout, each layer's configuration, each tensor's formats
and original shape, and a digest of all this and the arrays.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.formats.elements import Format, element_format
from vsq.golden.formats.scales import NAMED
from vsq.golden.io.files import replacing
from vsq.golden.io.layer import IntegerLayer, Integers
from vsq.golden.quantizer.tensor import Quantized, TensorFormat
from vsq.golden.stimulus import stream

VERSION = 2
CONTAINERS = (".npz", ".safetensors")

Arrays = dict[str, NDArray[Any]]


def streams(layers: Mapping[str, IntegerLayer], pattern: str = "*") -> dict[MacConfig, stream.Beats]:
    """Return, for every configuration, its layers one after another as a stream for one vector MAC.

    Raises:
        InputError: If no layer's name matches ``pattern``, written as in a shell, or one has no inputs.
    """
    chosen = [layer for name, layer in layers.items() if fnmatchcase(name, pattern)]
    if not chosen:
        raise InputError(f"layer {pattern!r}: matches none in the file; {did_you_mean(pattern, layers)}")
    by_config: dict[MacConfig, list[stream.Beats]] = {}
    for layer in chosen:
        by_config.setdefault(layer.config, []).append(layer.beats())
    return {config: stream.concatenate(parts) for config, parts in by_config.items()}


def save(path: str | Path, layers: Mapping[str, IntegerLayer]) -> None:
    """Write the layers atomically; the suffix, ``.safetensors`` or ``.npz``, chooses the container.

    Raises:
        InputError: If the suffix is another one, a tensor does not fit its configuration, or the file cannot be
            written.
    """
    path = Path(path)
    _check_suffix(path)
    arrays: Arrays = {}
    manifest: dict[str, Any] = {}
    for name, layer in layers.items():
        entry: dict[str, Any] = {"config": layer.config.full_name, "sign": layer.sign, "bias": layer.bias is not None}
        entry |= {"folded": layer.folded, "smoothed": layer.smoothed, "groups": layer.groups}
        for part, tensor in (("weights", layer.weights), ("inputs", layer.inputs)):
            entry[part] = tensor and _disassemble(f"{name}.{part}", tensor, arrays, layer.config)
        arrays[f"{name}.input_gamma"] = np.asarray(layer.input_gamma, np.float32).reshape(())
        if layer.bias is not None:
            arrays[f"{name}.bias"] = np.ascontiguousarray(layer.bias, np.float32)
        manifest[name] = entry
    metadata = {"version": VERSION, "layers": manifest}
    content = _packed(path.suffix, arrays, json.dumps(metadata | {"sha256": _digest(arrays, metadata)}))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(path: str | Path) -> dict[str, IntegerLayer]:
    """Read what :func:`save` wrote.

    Raises:
        InputError: If the suffix is another one, or the file is missing, corrupt, of another version, or contradicts
            itself; the message names the file and what is wrong.
    """
    path = Path(path)
    _check_suffix(path)
    try:
        arrays, text = _unpacked(path.suffix, path.read_bytes())
        metadata = json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file of exported tensors") from None
    except Exception as error:  # the parsers raise a dozen kinds of exceptions on foreign bytes
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: no file of exported tensors ({reason}); export it again") from None
    try:
        if metadata["version"] != VERSION:
            raise InputError(f"layout version {metadata['version']}, but {VERSION} is read here")
        intact = metadata.pop("sha256") == _digest(arrays, metadata)
        layers = {name: _layer(name, entry, arrays) for name, entry in metadata["layers"].items()}
        if arrays:
            raise InputError(f"array {min(arrays)} is not in the metadata")
        if not intact:
            raise InputError("content and sha256 disagree")
    except InputError as error:
        raise InputError(f"{path}: {error}; export it again") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: metadata with a missing or malformed entry ({error}); export it again") from None
    return layers


def _layer(name: str, entry: dict[str, Any], arrays: Arrays) -> IntegerLayer:
    """Return the layer that ``entry`` describes, taking its arrays out of ``arrays``."""
    config = MacConfig.parse(entry["config"])
    weights = _assemble(f"{name}.weights", entry["weights"], arrays, config)
    bias = arrays.pop(f"{name}.bias") if entry["bias"] else None
    if bias is not None and bias.shape != (len(weights.codes),):
        raise InputError(f"{name}: a bias of {bias.shape} for weights of {weights.codes.shape}")
    groups, inputs = entry.get("groups", 1), None
    if entry["inputs"]:
        inputs = _assemble(f"{name}.inputs", entry["inputs"], arrays, config)
    if groups < 1 or any(count % groups for count in (len(weights.codes), 0 if inputs is None else len(inputs.codes))):
        raise InputError(f"{name}: {groups} groups for {len(weights.codes)} outputs, or for rows that are no multiple")
    return IntegerLayer(
        config=config,
        weights=weights,
        inputs=inputs,
        input_gamma=arrays.pop(f"{name}.input_gamma"),
        bias=bias,
        sign=entry["sign"],
        folded=entry.get("folded", False),  # older files have none of these
        smoothed=entry.get("smoothed", False),
        groups=groups,
    )


def _disassemble(name: str, tensor: Integers, arrays: Arrays, config: MacConfig) -> dict[str, Any]:
    """Return what the metadata say of a tensor, adding its arrays to ``arrays``; inverse of :func:`_assemble`."""
    _check(name, tensor, config)
    form = tensor.format
    arrays[f"{name}.codes"] = np.ascontiguousarray(tensor.codes, _dtype(form.element))
    arrays[f"{name}.gamma"] = np.ascontiguousarray(tensor.gamma, np.float32)
    if form.scale is not None:
        arrays[f"{name}.scales"] = np.ascontiguousarray(tensor.scales, _dtype(form.scale))
    return {
        "shape": [*tensor.codes.shape[:-2], tensor.length],
        "element": str(form.element),
        "scale": None if form.scale is None else str(form.scale),
        "vector_size": form.vector_size,
        "granularity": form.granularity,
    }


def _assemble(name: str, entry: dict[str, Any], arrays: Arrays, config: MacConfig) -> Integers:
    """Return the tensor that ``entry`` describes, checked, taking its arrays out of ``arrays``."""
    form = TensorFormat(
        element=element_format(entry["element"]).with_narrow(config.narrow),
        scale=entry["scale"] and (NAMED.get(entry["scale"]) or element_format(entry["scale"])),
        vector_size=entry["vector_size"],
        granularity=entry["granularity"],
        dual_precision=config.dual_precision and entry["scale"] is not None,
    )
    *lead, length = entry["shape"]
    shape = (*lead, -(-length // form.vector_size), form.vector_size)
    tensor = Quantized(
        codes=arrays.pop(f"{name}.codes").astype(form.element.dtype()),
        scales=None if form.scale is None else arrays.pop(f"{name}.scales").astype(form.scale.dtype()),
        gamma=arrays.pop(f"{name}.gamma"),
        length=length,
        format=form,
    )
    if tensor.codes.shape != shape:
        raise InputError(f"{name}.codes: shape {tensor.codes.shape} where the metadata say {shape}")
    _check(name, tensor, config)
    return tensor


def _check(name: str, tensor: Integers, config: MacConfig) -> None:
    """Refuse a tensor that contradicts itself or is of neither side of ``config``."""
    form = tensor.format
    sides = [(config.weight, config.weight_scale), (config.activation, config.activation_scale)]
    if (form.element, form.scale) not in sides or form.vector_size != config.vector_size:
        found = f"element {form.element}, scale {form.scale or '-'}, V={form.vector_size} are of neither side"
        raise InputError(f"{name}: {found} of {config.full_name}; quantize it for that configuration")
    form.element.check(tensor.codes, f"{name}.codes")
    if form.scale is not None and tensor.scales is not None:
        form.scale.check(tensor.scales, f"{name}.scales")
    lead = tensor.codes.shape[:-1]
    needed = {"scales": lead if form.scale else None, "gamma": form.gamma_shape(lead)}
    for part, shape in needed.items():
        array = getattr(tensor, part)
        if (None if array is None else array.shape) != shape:
            raise InputError(f"{name}.{part}: shape {np.shape(array)} where {shape} is needed")
    if tensor.gamma.dtype != np.float32 or not (np.isfinite(tensor.gamma) & (tensor.gamma >= 0)).all():
        raise InputError(f"{name}.gamma: must be float32, finite and not negative")
    if tensor.codes.reshape(*lead[:-1], -1)[..., tensor.length :].any():
        raise InputError(f"{name}.codes: the padding after element {tensor.length} is not zero")


def _digest(arrays: Arrays, metadata: dict[str, Any]) -> str:
    """Return the SHA-256 of the metadata and of every array's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps(metadata).encode())
    for key in sorted(arrays):
        array = arrays[key]
        digest.update(f"{key} {array.dtype} {array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def _dtype(fmt: Format) -> np.dtype[Any]:
    """Return the narrowest NumPy integer type of a format."""
    size = next(size for size in (1, 2, 4, 8) if fmt.max < 1 << (8 * size - fmt.signed))
    return np.dtype(f"{'i' if fmt.signed else 'u'}{size}")


def _packed(suffix: str, arrays: Arrays, metadata: str) -> bytes:
    if suffix == ".safetensors":
        import safetensors.numpy  # only where this container is asked for

        return bytes(safetensors.numpy.save(arrays, metadata={"metadata": metadata}))
    buffer = io.BytesIO()
    entries: dict[str, Any] = {**arrays, "metadata": np.array(metadata)}
    np.savez_compressed(buffer, **entries)
    return buffer.getvalue()


def _unpacked(suffix: str, content: bytes) -> tuple[Arrays, str]:
    """Return arrays and metadata; inverse of :func:`_packed`."""
    if suffix == ".safetensors":
        import safetensors.numpy  # only where this container is asked for

        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return safetensors.numpy.load(content), header["__metadata__"]["metadata"]
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, str(arrays.pop("metadata"))


def _check_suffix(path: Path) -> None:
    """Refuse a container that is not known, or whose package is missing."""
    if path.suffix not in CONTAINERS:
        raise InputError(f"{path}: suffix {path.suffix!r} is not one of {', '.join(CONTAINERS)}; choose one of these")
    if path.suffix == ".safetensors" and find_spec("safetensors") is None:
        raise InputError(f"{path}: needs the package safetensors; install it, or choose the suffix .npz")
