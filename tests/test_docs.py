"""README, docs and examples: their commands and snippets run as they are printed, and what they name exists."""

import importlib
import json
import re
import subprocess
import sys
import tomllib
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest

import vsq
from vsq.cli.main import COMMANDS, parser
from vsq.tb.regression.reports import REPORTS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FRACTION = re.compile(r"0\.\d{3}\b")
FILE = re.compile(r"(?<![\w/.-])(?:[\w.-]+/)+[\w.-]+\.(?:cpp|html|ipynb|json|lib|md|png|py|svg|txt|v|yml)\b")


def differences(expected, got):
    """Yield the lines of ``expected`` that do not follow, in this order, in ``got``.

    Blanks and the frames of tables do not count, ``...`` is for anything, and fractions of three digits, which are
    accuracies of networks trained in floating point, may differ by 0.05.
    """
    lines = iter([" ".join(re.sub(r"[┃│]", " ", line).split()) for line in got.splitlines()])
    for line in expected.splitlines():
        wanted = re.escape(" ".join(line.split()))
        pattern = re.sub(r"0\\\.\d{3}\b", r"(0\\.\\d{3})", re.sub(r"(\\ )?(\\\.){3}", ".*", wanted))
        fractions = FRACTION.findall(line)
        if not any(
            (found := re.fullmatch(pattern, one))
            and all(abs(float(a) - float(b)) <= 0.05 for a, b in zip(found.groups(), fractions, strict=True))
            for one in lines
        ):
            yield line


def execute(code, namespace):
    """Run Python code; return what it prints."""
    with redirect_stdout(StringIO()) as printed:
        exec(compile(code, "<block>", "exec"), namespace)
    return printed.getvalue()


def shell(command):
    """Run commands, all of which must succeed; return what they print."""
    done = subprocess.run(
        ["bash", "-e"], input=command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.fixture
def reader(require_tool, tmp_path, monkeypatch):
    """A reader in an empty folder, with the environment activated; returns ``require_tool``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("COLUMNS", "200")
    return require_tool


@pytest.mark.parametrize(
    ("page", "outputs"), [("README.md", 2), pytest.param("docs/tutorial.md", 9, marks=pytest.mark.slow)]
)
def test_what_a_page_shows_is_what_happens(page, outputs, reader):
    reader("icarus")
    for package in ("sklearn", "torch"):
        pytest.importorskip(package)
    namespace, output, compared = {}, "", 0
    for kind, block in BLOCK.findall((ROOT / page).read_text()):
        if kind == "text":
            assert not [*differences(block, output)], output
            compared += 1
        else:
            output = shell(block) if kind == "sh" else execute(block, namespace)
    assert compared == outputs


@pytest.mark.slow
def test_the_notebook_gives_its_outputs(reader):
    reader("icarus")
    for package in ("sklearn", "torch"):
        pytest.importorskip(package)
    cells = json.loads((ROOT / "examples" / "own_model.ipynb").read_text())["cells"]
    namespace, compared = {}, 0
    for cell in cells:
        if cell["cell_type"] == "code":
            printed = execute("".join(cell["source"]), namespace)
            stored = "".join(line for output in cell["outputs"] for line in output["text"])
            assert not [*differences(stored, printed)], printed
            compared += bool(stored)
    assert compared == 6


@pytest.mark.slow
def test_the_ci_recipe_runs(reader, monkeypatch):
    for simulator in ("icarus", "verilator"):
        reader(simulator)
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((ROOT / "examples" / "ci" / "github.yml").read_text())
    for name, value in {**recipe["env"], "CONFIG": "4/4U/4/6:V=2", "BEATS": "100"}.items():
        monkeypatch.setenv(name, value)
    commands = [step["run"] for step in recipe["jobs"]["regress"]["steps"] if "run" in step]
    [install], checks = [run for run in commands if "pip" in run], [run for run in commands if "pip" not in run]
    assert "2 of 2 passed" in shell(checks[0])
    shell(checks[1])
    assert json.loads(Path("build/area.json").read_text())
    [extra] = re.findall(r"\$VSQ\[(\w+)\]", install)
    assert extra in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_both_ci_recipes_run_the_same():
    """Their commands and variables are the same, and GitLab's reads the reports that the regression writes."""
    yaml = pytest.importorskip("yaml")
    github, gitlab = (
        yaml.safe_load((ROOT / "examples" / "ci" / f"{name}.yml").read_text()) for name in ("github", "gitlab")
    )
    steps = [step["run"] for step in github["jobs"]["regress"]["steps"] if step.get("run", "").startswith("vsq ")]
    assert gitlab["mac"]["script"] == steps
    assert {name: gitlab["variables"][name] for name in github["env"]} == github["env"]
    assert gitlab["mac"]["artifacts"]["reports"] == {"junit": "build/regress/junit.xml"}
    assert "junit.xml" in REPORTS


def test_a_wrong_output_is_found():
    assert not [*differences("a 0.900\nb", "│ a │ 0.870 │\nb")]
    assert [*differences("a 0.900", "a 0.840")] == ["a 0.900"]
    assert [*differences("b\na", "a\nb")] == ["a"]
    assert not [*differences("x ... 1\n...\nb", "x 2 3 1\na\nb\n")]
    assert [*differences("x ... 1", "x 2 3 4\n")] == ["x ... 1"]


def test_the_api_page_has_every_public_name():
    named = re.findall(r"^::: vsq\.(\w+)$", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
    assert sorted(named) == sorted(vsq.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    """What links point to, and files, tests and names of ``vsq`` in code type."""
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", text):
        generated = link == "commands.md"
        assert generated or (page.parent / link).exists(), link
    code = re.findall(r"`([^`\n]+)`", text)
    for path in sorted({path for span in code for path in FILE.findall(span)}):
        assert path.startswith("build/") or (ROOT / path).is_file(), path
    for folder in sorted({span for span in code if re.fullmatch(r"(?:\w+/)+", span)}):
        assert (ROOT / folder).is_dir(), folder
    for test in sorted({span for span in code if re.fullmatch(r"test_\w+", span)}):
        assert f"def {test}(" in TESTS, test
    for name in sorted(set(re.findall(r"\bvsq(?:\.[a-zA-Z_]\w*)+", text))):
        assert exists(name), name
    for module, members in re.findall(r"^ *from (vsq[\w.]*) import (.+)$", text, re.MULTILINE):
        assert all(exists(f"{module}.{member.strip()}") for member in members.split(",")), members
    for name in re.findall(r"\bbenchmarks\.(\w+)", text):
        assert (ROOT / "benchmarks" / f"{name}.py").is_file(), name


def test_the_table_of_folders_is_complete():
    text = (ROOT / "docs" / "developing.md").read_text()
    for folder in ("golden", "hw", "synth", "tb"):
        [cell] = re.findall(rf"^\| `{folder}` \| ([^|]*)\|", text, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", cell)) == {path.parent.name for path in (ROOT / folder).glob("*/__init__.py")}


@cache
def options(command):
    """The options of a command, from its help."""
    with redirect_stdout(StringIO()) as text, pytest.raises(SystemExit):
        parser().parse_args([command, "--help"])
    return set(re.findall(r"--[a-z-]+", text.getvalue()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_a_page_exist(page):
    """Commands, their options and targets of the Makefile, in code type or as lines of a block."""
    text = page.read_text()
    for line, command in re.findall(r"(?:^|`)(?: {4})?(vsq ([a-z]+)[^`#\n]*)", text, re.MULTILINE):
        assert command in COMMANDS, line
        assert {*re.findall(r"--[a-z-]+", line)} <= options(command), line
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE):
        assert target in targets, target


def exists(name):
    """Whether a dotted name is a module, or a member of one."""
    module, *members = name.split(".")
    found = importlib.import_module(module)
    for member in members:
        module = f"{module}.{member}"
        try:
            found = getattr(found, member) if hasattr(found, member) else importlib.import_module(module)
        except ImportError as error:  # of an extra's package: it is not installed, and more cannot be said
            return not (error.name or "vsq").startswith("vsq")
    return True
