"""Files of quantized tensors, ``.npz`` or ``.safetensors``: integers, gammas and all that is needed to read them.

A tensor stands there as ``NAME.codes`` [..., G, V] and ``NAME.scales`` [..., G] in the narrowest integer type of their
formats, and ``NAME.gamma`` in float32. A JSON text, ``metadata``, in a ``.safetensors`` file in the header, holds the
version of this layout, each tensor's formats and original shape, and a digest of all this and the arrays.
"""

import hashlib
import io
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.formats.elements import Format, element_format
from vsq.golden.io.files import replacing
from vsq.golden.quantizer.tensor import Quantized, TensorFormat

VERSION = 2
CONTAINERS = (".npz", ".safetensors")

Arrays = dict[str, NDArray[Any]]
Content = TypeVar("Content")


def write(path: str | Path, arrays: Arrays, metadata: dict[str, Any]) -> None:
    """Write ``arrays`` and ``metadata`` with the layout's version and a digest.

    Raises:
        InputError: If the suffix is neither ``.npz`` nor ``.safetensors``, or the file cannot be written.
    """
    path, metadata = Path(path), {"version": VERSION, **metadata}
    _check_suffix(path)
    content = _packed(path.suffix, arrays, json.dumps(metadata | {"sha256": _digest(arrays, metadata)}))
    with replacing(path) as part:
        part.write_bytes(content)


def read(path: str | Path, parse: Callable[[dict[str, Any], Arrays], Content]) -> Content:
    """Return ``parse(metadata, arrays)`` of what :func:`write` wrote; ``parse`` takes all arrays out of the dictionary.

    Raises:
        InputError: If the suffix is neither ``.npz`` nor ``.safetensors``, or the file is missing, corrupt, of another
            version, or contradicts itself; the message names the file and what is wrong.
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
        content = parse(metadata, arrays)
        if arrays:
            raise InputError(f"array {min(arrays)} is not in the metadata")
        if not intact:
            raise InputError("content and sha256 disagree")
    except InputError as error:
        raise InputError(f"{path}: {error}; export it again") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{path}: metadata with a missing or malformed entry ({error}); export it again") from None
    return content


def disassemble(name: str, tensor: Quantized[NDArray[Any]], arrays: Arrays, config: MacConfig) -> dict[str, Any]:
    """Return what the metadata say of a tensor, adding its arrays to ``arrays``; inverse of :func:`assemble`."""
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


def assemble(name: str, entry: dict[str, Any], arrays: Arrays, config: MacConfig) -> Quantized[NDArray[Any]]:
    """Return the tensor that ``entry`` describes, checked, taking its arrays out of ``arrays``."""
    form = TensorFormat(
        element=element_format(entry["element"]).with_narrow(config.narrow),
        scale=None if entry["scale"] is None else element_format(entry["scale"]),
        vector_size=entry["vector_size"],
        granularity=entry["granularity"],
    )
    *lead, length = entry["shape"]
    shape = (*lead, -(-length // form.vector_size), form.vector_size)
    tensor = Quantized(
        codes=arrays.pop(f"{name}.codes").astype(np.int32),
        scales=None if form.scale is None else arrays.pop(f"{name}.scales").astype(np.int32),
        gamma=arrays.pop(f"{name}.gamma"),
        length=length,
        format=form,
    )
    if tensor.codes.shape != shape:
        raise InputError(f"{name}.codes: shape {tensor.codes.shape} where the metadata say {shape}")
    _check(name, tensor, config)
    return tensor


def _check(name: str, tensor: Quantized[NDArray[Any]], config: MacConfig) -> None:
    """Refuse a tensor that contradicts itself or is of neither side of ``config``."""
    form = tensor.format
    formats = (form.element, form.scale, form.vector_size)
    sides = [(config.weight, config.weight_scale), (config.activation, config.activation_scale)]
    if formats not in [(*side, config.vector_size) for side in sides]:
        raise InputError(
            f"{name}: element {form.element}, scale {form.scale or '-'}, V={form.vector_size} are of "
            f"neither side of {config.full_name}; quantize it for that configuration"
        )
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
    return np.dtype(f"{'i' if fmt.signed else 'u'}{1 if fmt.max < 1 << (8 - fmt.signed) else 2}")


def _packed(suffix: str, arrays: Arrays, metadata: str) -> bytes:
    """Return the bytes of a container."""
    if suffix == ".safetensors":
        from safetensors.numpy import save  # only where this container is asked for

        return bytes(save(arrays, metadata={"metadata": metadata}))
    buffer = io.BytesIO()
    entries: dict[str, Any] = {**arrays, "metadata": np.array(metadata)}
    np.savez_compressed(buffer, **entries)
    return buffer.getvalue()


def _unpacked(suffix: str, content: bytes) -> tuple[Arrays, str]:
    """Return arrays and metadata; inverse of :func:`_packed`."""
    if suffix == ".safetensors":
        from safetensors.numpy import load  # only where this container is asked for

        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return load(content), header["__metadata__"]["metadata"]
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = dict(file)
    return arrays, str(arrays.pop("metadata"))


def _check_suffix(path: Path) -> None:
    """Refuse a container that is not known, or whose package is missing."""
    if path.suffix not in CONTAINERS:
        raise InputError(f"{path}: suffix {path.suffix!r} is not one of {', '.join(CONTAINERS)}; choose one of these")
    if path.suffix == ".safetensors" and find_spec("safetensors") is None:
        raise InputError(f"{path}: needs the package safetensors; install it, or choose the suffix .npz")
