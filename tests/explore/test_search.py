import json

import pytest

pytest.importorskip("bracex")
pytest.importorskip("torch")
pytest.importorskip("sklearn")

from vsq.cli.main import main

SPACE = "{3,8}/4U/4/4:V=4"


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (["--bits", "4", "--out", "build"], "--out: bits need none; leave it out, or give --area or --energy in place"),
        (["--bits", "4", "--liberty", "nosuch"], "--liberty: bits need none; leave it out"),
        (["--area", "4", "--liberty", "nosuch"], "Liberty file nosuch: No such file"),
        (["--bits", "2"], "--bits 2: the narrowest configuration has 3; give more, or narrower ones"),
        (["--bits", "0"], "'0' is not a number above 0"),
        (["--area", "1"], "--area 1: the narrowest configuration has"),
        (["--energy", "1"], "--energy: no library is given; add --liberty FILE"),
        (["--energy", "1", "--bits", "4"], "not allowed with argument"),
        (["4/4/4/6@lanes=16", "--bits", "4"], "4/4/4/6@: layers run on vector MACs; leave out the @ and"),
        ([], "one of the arguments --bits --area --energy is required"),
    ],
)
def test_budgets_are_checked_before_work(budget, reason, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["search", "digits", SPACE, *budget])
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert reason in " ".join(capsys.readouterr().err.split())
    assert bool([*tmp_path.iterdir()]) == ("the narrowest" in reason and "--area" in budget)


@pytest.mark.slow
def test_layers_share_a_budget_of_area(tmp_path, capsys):
    """The narrow MAC has 1,292 NAND2, so that a budget of 1,300 allows the wide one to small layers at most."""
    file = tmp_path / "mix.json"
    options = ["--out", str(tmp_path), "--json", str(file)]
    assert main(["search", "digits", SPACE, "--area", "1300", *options]) == 0
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if "/" in line or "mixed" in line}
    assert float(rows["mixed"][1]) <= 1300
    layers = json.loads(file.read_text())["layers"]
    assert "3/4U/4/4:V=4" in layers.values()
    assert len(rows) >= 3
