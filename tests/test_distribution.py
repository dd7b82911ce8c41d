"""The wheel and the source distribution: all that belongs in them, and what commands say without an extra."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePath
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from vsq.golden.contract.distribution import EXTRAS, NAME, VERSION

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
FOLDERS = (".ci", "docs", "examples", "golden", "hw", "synth", "tb", "tests", "benchmarks", "vsq")
FILES = (
    *(".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE"),
    *("MANIFEST.in", "Makefile", "README.md", "constraints.txt", "mkdocs.yml"),
)
BUILD = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A copy of the sources with the wheel and the source distribution in its folder ``dist``."""
    copy = tmp_path_factory.mktemp("sources")
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (*FILES, "pyproject.toml"):
        shutil.copy(ROOT / name, copy)
    subprocess.run([sys.executable, "-c", BUILD], cwd=copy, check=True, capture_output=True)
    return copy


def test_the_name_stands_in_one_constant():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == NAME
    assert set(EXTRAS.values()) <= set(project["optional-dependencies"])
    assert f"\nversion: {VERSION}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_source_distribution_is_the_checkout(built):
    with tarfile.open(built / "dist" / f"vsq_rtl-{VERSION}.tar.gz") as archive:
        packed = {PurePath(name).relative_to(f"vsq_rtl-{VERSION}").as_posix() for name in archive.getnames()}
    expected = {path.relative_to(built).as_posix() for name in FOLDERS for path in (built / name).rglob("*")}
    assert {*expected, *FILES, "pyproject.toml"} <= packed


def test_the_wheel_has_the_kernels_sources(built):
    with ZipFile(built / "dist" / f"vsq_rtl-{VERSION}-py3-none-any.whl") as wheel:
        assert {f"vsq/golden/kernels/{name}.cpp" for name in ("products", "quantize")} <= {*wheel.namelist()}


def closure(site, extras):
    """Every distribution that the wheel in ``site`` requires with these extras, as an installer would choose."""
    [wheel] = site.glob("*.dist-info")
    found, waiting = {}, [(Distribution.at(wheel), tuple(extras))]
    while waiting:
        one, chosen = waiting.pop()
        for requirement in map(Requirement, one.requires or []):
            if requirement.marker and not any(requirement.marker.evaluate({"extra": e}) for e in chosen or ("",)):
                continue
            ours = requirement.name == NAME
            another = one if ours else distribution(requirement.name)
            if ours or (requirement.name, *requirement.extras) not in found:
                found[requirement.name, *requirement.extras] = another
                waiting.append((another, tuple(requirement.extras)))
    return [one for (name, *_), one in found.items() if name != NAME]


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """Return the interpreter of an environment that holds the wheel, what these extras require, and nothing else."""

    def install(*extras):
        folder = tmp_path_factory.mktemp("-".join(["venv", *extras]))
        venv.create(folder, symlinks=True)
        site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
        with ZipFile(built / "dist" / f"vsq_rtl-{VERSION}-py3-none-any.whl") as wheel:
            wheel.extractall(site)
        for one in closure(site, extras):
            for name in {file.parts[0] for file in one.files or []} - {"..", "__pycache__"}:
                if not (site / name).exists():
                    (site / name).symlink_to(one.locate_file(name))
        [script] = Distribution.at(next(site.glob("vsq_rtl-*.dist-info"))).entry_points
        command = folder / "bin" / script.name  # as an installer writes it
        command.write_text(f"#!{folder}/bin/python\nimport sys\nfrom {script.module} import main\nsys.exit(main())\n")
        command.chmod(0o755)
        return folder / "bin" / "python"

    return install


def run(python, folder, *arguments):
    return execute([python, "-P", "-m", "vsq", *arguments], folder)


def execute(command, folder):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


COMMANDS = {
    "regress": ["4/4/4/6"],
    "demo": [],
    "network": ["digits", "4/4U/4/6"],
    "accuracy": ["digits"],
    "export": ["digits", "4/4U/4/6", "--out", "digits.npz"],
}
# installed extra -> what each command lacks then
LACKING = {
    "": {"regress": "cocotb", "demo": "torch", "network": "torch", "accuracy": "torch", "export": "torch"},
    "sim": {"demo": "torch", "network": "torch", "accuracy": "torch", "export": "torch"},
    "torch": {
        "regress": "cocotb",
        "demo": "sklearn",
        "network": "cocotb",
        "accuracy": "sklearn",
        "export": "sklearn",
    },
}


@pytest.mark.parametrize("extra", LACKING, ids=lambda extra: extra or "core")
def test_a_missing_extra_is_one_line(extra, installed, tmp_path):
    python = installed(*([extra] if extra else []))
    for command, package in LACKING[extra].items():
        done = run(python, tmp_path, command, *COMMANDS[command])
        assert (done.returncode, done.stdout.strip()) == (2, ""), (command, done.stdout, done.stderr)
        [line] = done.stderr.splitlines()
        assert line.startswith("vsq: error: "), line
        assert f"{package}" in line
        assert f"not installed; pip install -e '.[{EXTRAS[package]}]'" in line
        assert not list(tmp_path.iterdir())


def test_the_core_generates(installed, tmp_path):
    for design, interface in (("4/4/4/6:V=1", "axis"), ("4/4/4/6:V=1@lanes=1", "native")):
        done = run(installed(), tmp_path, "generate", design, "--vectors", "9", "--interface", interface)
        assert done.returncode == 0, done.stderr
    assert len([*tmp_path.glob("*_tb.v")]) == 2


def test_a_name_of_the_api_that_needs_an_extra(installed, tmp_path):
    done = execute([installed(), "-c", "from vsq import MacConfig, generate, quantize"], tmp_path)
    assert done.returncode == 1
    hint = "vsq.quantize: torch is not installed; pip install -e '.[torch]'"
    assert done.stderr.splitlines()[-1] == f"ImportError: {hint}"


SCRIPT = """
import vsq
verilog, _ = vsq.generate("4/4/4/6:V=1", "build", "mac")
print(vsq.__file__, verilog)
"""


def test_everything_from_the_wheel_in_a_folder_with_packages_of_the_same_names(installed, require_tool, tmp_path):
    require_tool("icarus")
    python = installed("sim")
    for name in ("tb", "hw", "golden", "synth"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the package of another project')\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    benches = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "own-bench.md").read_text(), re.DOTALL)
    for name, bench in zip(("with_ports", "with_agents"), benches, strict=True):
        (tmp_path / f"{name}.py").write_text(bench.replace('"my_bench"', f'"{name}"'))
    regression = ["regress", "4/4/4/6:V=1", "--sim", "icarus", "--beats", "20", "--seed", "1"]
    for command, printed in (
        ([python.with_name("vsq"), *regression], "1 of 1 passed"),
        ([python, "-m", "vsq", "presets"], "headline"),
        ([python, "script.py"], f"{python.parents[1]}/lib"),
        ([python, "with_ports.py", "icarus"], "TESTS=1 PASS=1 FAIL=0"),
        ([python, "with_agents.py", "icarus"], "TESTS=1 PASS=1 FAIL=0"),
    ):
        done = execute(command, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert printed in done.stdout + done.stderr
    assert [*python.parents[1].glob("lib/python*/site-packages/vsq/py.typed")]
