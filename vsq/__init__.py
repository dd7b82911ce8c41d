"""Generator and verification suite for block-scaled vector MAC hardware: the public API.

>>> import vsq
>>> files = vsq.generate("4/4U/4/6", "build", vectors=1000)  # Verilog, manifest, test vectors and a bench
>>> summary = vsq.regress(["4/4U/4/6"], sims=["verilator"])  # co-simulation against the bit-exact model
>>> report = vsq.area(["4/4/4/6", "8/8/-/-"])  # synthesis, beside the 8-bit baseline
>>> quantized = vsq.quantize(model, "4/8/6/10", lambda m: m(batch))  # any PyTorch model

Names are loaded at their first use: ``import vsq`` itself imports neither NumPy, nor Amaranth, nor PyTorch.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

from vsq.golden.contract.distribution import VERSION, missing

if TYPE_CHECKING:
    # The one declaration of the public names; _sources() reads it too.
    from vsq.golden.contract.config import PRESETS as PRESETS
    from vsq.golden.contract.config import MacConfig as MacConfig
    from vsq.golden.contract.errors import InputError as InputError
    from vsq.golden.contract.pe_config import PeConfig as PeConfig
    from vsq.golden.contract.pe_config import configuration as configuration
    from vsq.golden.io.layer import IntegerLayer as IntegerLayer
    from vsq.golden.model.datapath import BlockOperand as BlockOperand
    from vsq.golden.model.datapath import mac as mac
    from vsq.golden.model.pe import Command as Command
    from vsq.golden.model.pe import Streams as Streams
    from vsq.golden.model.pe import simulate as simulate
    from vsq.golden.model.ppu import LaneParams as LaneParams
    from vsq.golden.nn.folder import load as load
    from vsq.golden.nn.folder import save as save
    from vsq.golden.nn.folding import fold as fold
    from vsq.golden.nn.integer import export as export
    from vsq.golden.nn.integer import integers as integers
    from vsq.golden.nn.onnx.export import to_onnx as to_onnx
    from vsq.golden.nn.quantize import quantize as quantize
    from vsq.golden.nn.rules import Rule as Rule
    from vsq.golden.quantizer.scheme import Scheme as Scheme
    from vsq.hw.mac.top import VectorMac as VectorMac
    from vsq.hw.pe.top import ProcessingElement as ProcessingElement
    from vsq.synth.fpga.report import fpga as fpga
    from vsq.synth.layout.run import layout as layout
    from vsq.synth.report.comparison import area as area
    from vsq.synth.report.comparison import energy as energy
    from vsq.tb.regression.run import regress as regress
    from vsq.tb.vectors.generation import generate as generate

__version__ = VERSION


@cache
def _sources() -> dict[str, str]:
    """Return the module of each public name."""
    import ast
    from pathlib import Path

    imports = (node for node in ast.walk(ast.parse(Path(__file__).read_text())) if isinstance(node, ast.ImportFrom))
    return {alias.asname: str(node.module) for node in imports for alias in node.names if alias.asname}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use.

    Raises:
        ImportError: If it needs a package that is not installed; the message says how to install it.
    """
    if name == "__all__":
        return [*_sources()]
    if name not in _sources():
        raise AttributeError(f"module 'vsq' has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(_sources()[name]), name)
    except ModuleNotFoundError as error:
        if hint := missing(error):
            raise ImportError(f"vsq.{name}: {hint}", name=error.name) from error
        raise
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_sources()})
