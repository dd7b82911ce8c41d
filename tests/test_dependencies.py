"""Who may import whom, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "golden": {"amaranth", "cocotb", "cocotb_tools", "pyosys", "hw", "tb", "synth", "vsq"},
    "hw": {"cocotb", "cocotb_tools", "torch", "golden", "tb", "synth", "vsq"},
    "tb": {"torch", "synth", "vsq"},
    "synth": {"cocotb", "cocotb_tools", "torch", "tb", "vsq"},
}
ALLOWED = {"hw": {"golden.config", "golden.distribution", "golden.pe_config"}}
SOURCES = [path for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    package = path.relative_to(ROOT).parts[0]
    for module in imports(path):
        if module not in ALLOWED.get(package, ()):
            assert module.split(".")[0] not in FORBIDDEN[package], f"{path} imports {module}"


def test_the_numpy_part_runs_without_torch():
    """No module of golden itself but the PyTorch quantizer imports torch, directly or not; nor does the generator."""
    golden = [
        f"golden.{path.stem}" for path in (ROOT / "golden").glob("*.py") if path.stem not in ("__init__", "bench")
    ]
    modules = [module for module in golden if module != "golden.torch_quantizer"]
    code = f"import sys, {', '.join([*modules, 'hw.verilog', 'synth.area', 'vsq'])}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
