"""Who may import whom, read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "golden": {"amaranth", "cocotb", "cocotb_tools", "pyosys", "vsq.hw", "vsq.tb", "vsq.synth"},
    "hw": {"cocotb", "cocotb_tools", "torch", "vsq.golden", "vsq.tb", "vsq.synth"},
    "tb": {"torch", "vsq.synth"},
    "synth": {"cocotb", "cocotb_tools", "torch", "vsq.tb"},
    "vsq": set(),
}
ALLOWED = {"hw": {"vsq.golden.contract", "vsq.golden.formats"}}
LAYERS = ("golden", "hw", "tb", "synth")
SOURCES = [path for package in FORBIDDEN for path in sorted((ROOT / package).rglob("*.py"))]


def imports(path):
    """Yield the dotted name of everything that a file imports: modules, and names as members of their module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import; write it in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_layers(path):
    package = path.relative_to(ROOT).parts[0]
    for name in imports(path):
        assert name.split(".")[0] not in LAYERS, f"{path} imports {name} twice over; write vsq.{name}"
        if package != "vsq" and name.startswith("vsq."):
            assert name.split(".")[1] in LAYERS, f"{path} imports {name}: the layers know nothing of the front door"
        if not within(name, ALLOWED.get(package, ())):
            assert not within(name, FORBIDDEN[package]), f"{path} imports {name}"


def test_no_module_imports_itself_by_way_of_others():
    """Imports within functions and for types alone count too."""
    modules = {f"vsq.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}": path for path in SOURCES}
    graph = {}
    for module, path in modules.items():
        names = [*imports(path)]
        graph[module] = {found for found in [*names, *(name.rpartition(".")[0] for name in names)] if found in modules}
    before = 0
    while before != len(graph):  # drop what imports nothing that is left, and what nothing left imports
        before, imported = len(graph), set().union(*graph.values())
        graph = {module: found & graph.keys() for module, found in graph.items() if found and module in imported}
    assert not graph, f"a cycle among {', '.join(sorted(graph))}"


def test_no_two_public_classes_have_one_name():
    places = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_nobody_imports_the_folders_directly():
    for path in [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        for name in imports(path):
            assert name.split(".")[0] not in LAYERS, f"{path} imports {name}; write vsq.{name}"


def test_the_numpy_part_runs_without_torch():
    """No module of golden but the PyTorch quantizer and kernels imports torch, directly or not; nor the generator."""
    paths = [
        path.relative_to(ROOT).with_suffix("")
        for path in (ROOT / "golden").rglob("*.py")
        if path.relative_to(ROOT).parts[1] not in ("kernels", "nn", "workloads")
        and path.stem not in ("__init__", "pytorch")
    ]
    modules = [f"vsq.{'.'.join(path.parts)}" for path in paths]
    assert len(modules) > 20
    code = f"import sys, {', '.join([*modules, 'vsq.hw.emit.design', 'vsq.synth.measure.area', 'vsq.cli.main'])}"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
