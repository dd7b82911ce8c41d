"""Make blocks.npz, frozen block formats by independent quantizers, for ``test_quantizer_oracles.py``.

    make .venv-peers/.ready && .venv-peers/bin/python tests/golden/oracles/freeze_blocks.py

Nothing of this project is imported. Inputs are integers that stand for ``x = input / 1024``, exact in float32, so that
ties really occur; vectors of zeros are among those of OCP MX. The file holds for every case NAME.x, NAME.scales and
NAME.elements, the latter as real values, and ``about``: the cases' parameters and the versions of the tools, as JSON.
"""

import blocks
import numpy as np
from freeze import HERE, write

SHAPE = (8, 128)
NVFP4 = {
    "torchao": blocks.torchao_nvfp4,
    "modelopt": blocks.modelopt_nvfp4,
    "compressed_tensors": blocks.compressed_tensors_nvfp4,
}
ELEMENTS = ("e2m1", "e2m3", "e3m2", "e4m3", "e5m2")
RULES = ("floor", "ceil", "even")


def inputs(name):
    """Return integers: Gaussian ones of about 10 bits, whose rows differ in spread."""
    rng = np.random.default_rng(list(name.encode()))
    x = np.rint(rng.standard_normal(SHAPE) * 400 * rng.uniform(0.1, 4, (SHAPE[0], 1)))
    if name.startswith("mx"):
        x[3, 32:96] = 0
    return x.astype(np.int16)


def main():
    """Write the file."""
    arrays, cases = {}, {}

    def case(name, function, element, scale, size, rule, *arguments):
        x = inputs(name)
        scales, elements = (part.astype(np.float32) for part in function(x / np.float32(1024), *arguments))
        arrays.update({f"{name}.x": x, f"{name}.scales": scales, f"{name}.elements": elements})
        cases[name] = {"element": element, "scale": scale, "vector_size": size, "scale_rule": rule}

    for tool, function in NVFP4.items():
        case(f"nvfp4_{tool}", function, "e2m1", "ue4m3", blocks.NV, "floor")
    for element in ELEMENTS:
        for rule in RULES:
            case(f"mx_{element}_{rule}_torchao", blocks.torchao_mx, element, "e8m0", blocks.MX, rule, element, rule)
    for element in (*ELEMENTS, "8"):
        case(f"mx_{element}_gfloat", blocks.gfloat_mx, element, "e8m0", blocks.MX, "floor", element)
    write(HERE / "blocks.npz", ["torchao", "nvidia-modelopt", "compressed-tensors", "gfloat"], cases, arrays)


if __name__ == "__main__":
    main()
