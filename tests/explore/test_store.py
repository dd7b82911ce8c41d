import csv
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("bracex")

from vsq.explore.exploration import measures
from vsq.explore.measures import measure
from vsq.explore.measures.area import AreaMeasure
from vsq.explore.measures.storage import StorageMeasure
from vsq.explore.results import beaten
from vsq.explore.space import read
from vsq.explore.store import COLUMNS, RecordStore, Task, export, rows
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration

STORAGE = StorageMeasure()


def test_a_key_follows_from_all_that_the_figures_follow_from(monkeypatch):
    names = ("4/4/4/6", "4/4/4/6:R=8", "4/4/4/6@")
    keys = {Task(name, one).key for name in names for one in (STORAGE, AreaMeasure(), AreaMeasure(goal="delay"))}
    assert len(keys) == 9
    key = Task("4/4/4/6", STORAGE).key
    assert key == Task("4/4/4/6", StorageMeasure()).key
    for what in ("_source_digest", "_version"):
        with monkeypatch.context() as changed:
            changed.setattr(measure, what, lambda _: "another")
            assert Task("4/4/4/6", StorageMeasure()).key != key


def test_options_that_no_value_depends_on_share_an_entry():
    texts = ["4/4/4/6", "4/4/4/6:acc=24", "4/4/4/6:pipeline=3,narrow=1", "4/4/4/6@lanes=16", "4/4/4/6:round=truncate"]
    assert len({Task.of(configuration(text), STORAGE) for text in texts}) == 1
    rounded = {Task.of(configuration(f"4/4/4/6:R=8,round={way}"), STORAGE) for way in ("half_up", "truncate")}
    assert len(rounded) == 2


def test_bits_stored():
    entry = Task("4/8U/4/6:V=24", STORAGE).run()
    assert [(one["quantity"], one["value"]) for one in entry["records"]] == [
        ("bits a weight", 4 + 4 / 24),
        ("bits an activation", 8 + 6 / 24),
    ]


def test_runs_may_write_side_by_side(tmp_path):
    store, tasks = RecordStore(tmp_path), [Task(f"{bits}/4/-/-", STORAGE) for bits in range(2, 17)]

    def write(_):
        for task in tasks:
            store.keep(task, task.run())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert {key for key, _ in store} == {task.key for task in tasks}
    assert not [path for path in tmp_path.rglob("*") if path.suffix == ".part"]


def test_tables_hold_every_figure(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    store = RecordStore(tmp_path / "store")
    for name in ("4/4/4/6", "3/8/-/-:V=8"):
        task = Task(name, STORAGE)
        store.keep(task, task.run())
    broken = Task("5/5/-/-", STORAGE)
    store.keep(broken, {**broken.about, "records": [], "failure": "no", "seconds": 0.5, "date": ""})
    for suffix in (".csv", ".parquet"):
        export(store, tmp_path / f"table{suffix}")
    want = [{name: row[name] for name in COLUMNS} for row in rows(store)]
    assert len(want) == 5
    assert parquet.read_table(tmp_path / "table.parquet").to_pylist() == want
    found = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert found == [{name: "" if value is None else str(value) for name, value in row.items()} for row in want]
    with pytest.raises(InputError, match=r"ends in \.csv or \.parquet"):
        export(store, tmp_path / "table.txt")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"records": 3}), json.dumps({"records": [{}]})])
def test_a_damaged_entry_is_named(text, tmp_path):
    store, task = RecordStore(tmp_path), Task("4/4/-/-", STORAGE)
    store.path(task).parent.mkdir()
    store.path(task).write_text(text)
    with pytest.raises(InputError, match=f"{task.key}.json: no record of an exploration"):
        store.read(task)


def test_a_point_is_beaten_by_more_than_noise():
    """Against the definition, point by point."""
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(50):
        points = rng.integers(0, 6, size=(rng.integers(1, 30), 3)).astype(float)
        noise = rng.integers(0, 2, size=3) * np.array([0, 0, 1.0])
        want = [
            any(
                all(q >= p - n for p, q, n in zip(one, other, noise, strict=True))
                and any(q > p + n for p, q, n in zip(one, other, noise, strict=True))
                for other in points
            )
            for one in points
        ]
        assert beaten(points, noise).tolist() == want
        assert not all(want)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "no measure: give one of area, energy, timing, layout, fpga, storage, accuracy, counts"),
        (["areas"], "measure 'areas': there is none of that name; did you mean area"),
        (["area:goal=speed"], "goal 'speed': choose one of area, balanced, delay"),
        (["area:aim=speed"], "setting 'aim=speed' is not known; did you mean"),
        (["energy"], "energy: liberty is missing; write energy:liberty=..."),
        (["energy:liberty=nand2"], "power"),
        (["accuracy:workload=digit"], "did you mean digits"),
        (["accuracy:smoothing=much"], "'smoothing=much' is no float"),
        (["accuracy:smoothing=2"], "smoothing 2.0: must be 0 to 1"),
        (["accuracy:bias_correction=yes"], "'bias_correction=yes' is neither 0 nor 1; write one"),
        (["layout"], "layout: liberty, lef are missing; write layout:liberty=...,lef=..."),
        (["area:liberty="], "area: setting 'liberty=' is empty; write liberty=..., or leave it out"),
        (["accuracy:input_gamma={static,rows}"], "input gamma 'rows'"),
    ],
)
def test_bad_measures_are_refused(texts, message):
    with pytest.raises(InputError, match=message):
        measures(texts)


def test_measures_with_braces_are_several():
    two = measures(["area", "accuracy:workload=digits,input_gamma={static,row}", "area"])
    assert [str(one) for one in two] == ["area", "accuracy", "accuracy:input_gamma=row"]
    assert measures([str(one) for one in two]) == two
    assert len(read(["4/4/-/-"]).points) == 1


def test_a_user_s_own_workload_is_measured_again_after_a_change(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    keys = set()
    for scale in (1, 2):
        (tmp_path / "mine_to_change.py").write_text(f"SCALE = {scale}\n")
        [measure] = measures(["accuracy:workload=mine_to_change:task"])
        keys.add(Task("4/4/-/-", measure).key)
    assert len(keys) == 2


@pytest.mark.parametrize("workload", ["nowhere:task", ":task", "json:"])
def test_workloads_that_are_not_there_are_refused(workload):
    with pytest.raises(InputError, match="give module:function"):
        measures([f"accuracy:workload={workload}"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_that_are_not_finite_are_failures(value, monkeypatch):
    record = StorageMeasure().figures(configuration("4/4/-/-"))[0]
    monkeypatch.setattr(StorageMeasure, "figures", lambda *_: [replace(record, value=value)])
    entry = Task("4/4/-/-", STORAGE).run()
    assert entry["failure"] == "bits a weight is not finite"
    assert entry["records"] == []


def test_formats_of_networks_are_points_too():
    [point] = read(["e2m1/e2m1/e8m0/e8m0:V=32"]).points
    assert Task.of(point, STORAGE).run()["records"][0]["value"] == 4 + 8 / 32
    assert "give a window" in Task.of(point, AreaMeasure()).run()["failure"]
