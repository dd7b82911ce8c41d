"""The table of formats: what it holds, what it says of what it lacks, and that it is measured once."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

pytest.importorskip("bracex")

from vsq.cli import main as vsq
from vsq.explore import formats
from vsq.explore.formats import FORMATS, PUBLISHED, FormatMeasures, format_table
from vsq.explore.measures.measure import Measure
from vsq.explore.measures.storage import StorageMeasure
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.io import engine
from vsq.golden.io.engine import Engine
from vsq.golden.workloads.metrics import Score
from vsq.synth.measure.records import records

SERIAL = Engine(lambda workers: ThreadPoolExecutor(1), 1)
NAMES = ["NVFP4", "MXFP8 E4M3", "MXFP8 E5M2", "VSQ 4/4/4/6", "INT8", "W4A8-FP8"]


@dataclass(frozen=True, kw_only=True)
class Areas(Measure):
    """A unit for each pair of bits of a multiplier, and a half for each bit of memory; E5M2 has no area."""

    name = "areas"
    quantity = "area"

    def figures(self, config):
        mac, lanes = config.mac, getattr(config, "lanes", 1)
        if str(mac.weight) == "e5m2":
            raise InputError("there is none")
        area = lanes * mac.vector_size * mac.weight.bits * mac.activation.bits
        return records(config.full_name, [("total", "area", area, "NAND2"), ("total", "memory bits", area / 2, "bit")])


@dataclass(frozen=True, kw_only=True)
class Scores(Measure):
    """A score for each format, with an error."""

    name = "scores"
    quantity = "accuracy"

    def figures(self, config):
        found = [("total", "cosine", 1 - 1 / config.weight.bits, "1"), ("total", "standard error of cosine", 0.01, "1")]
        return records(config.full_name, found)


BARE = FormatMeasures(
    storage=StorageMeasure(),
    area=Areas(),
    digits=None,
    minilm=Scores(),
    path=None,
    energy=None,
    minilm_methods=None,
    notes=("The rest was not measured.",),
)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return format_table(NAMES, BARE, tmp_path_factory.mktemp("store"), SERIAL)


def test_figures_are_those_of_the_records(table):
    nvfp4, mxfp8, e5m2, vsq446, int8, _ = table.rows
    assert (nvfp4.weight_bits, mxfp8.weight_bits, vsq446.activation_bits) == (4 + 7 / 16, 8 + 8 / 32, 4 + 6 / 16)
    assert (nvfp4.area, mxfp8.area, int8.area) == (16, 64, 64)
    assert (nvfp4.area_ratio, mxfp8.area_ratio, int8.area_ratio) == (0.25, 1, 1)
    assert (nvfp4.element_area, int8.element_area) == (24, 96)
    assert nvfp4.minilm == Score(0.75, 0.01)
    assert (nvfp4.path, nvfp4.energy, nvfp4.digits, nvfp4.minilm_methods) == (None, None, None, None)
    assert e5m2.area is None


def test_what_is_missing_has_a_reason(table):
    assert table.rows[0].missing == {}
    assert table.rows[2].missing["area of a MAC"] == "there is none"
    with pytest.raises(InputError) as refused:
        PeConfig(mac=MacConfig.parse("w4a8fp8"))
    assert table.rows[-1].missing["area of a processing element"] == str(refused.value)
    sentences = table.sentences()
    assert "MXFP8 E5M2: no area of a MAC: there is none." in sentences
    assert "The rest was not measured." in sentences


def test_published_ratios_stand_beside_ours(table):
    found = {(one.name, one.quantity): (one.value, here) for one, here in table.ratios}
    assert found["NVFP4", "area"] == (0.54, 0.25)
    assert found["NVFP4", "energy"] == (0.55, None)
    assert found["VSQ 4/4/4/6", "area"] == (0.629, 0.25)
    assert ("MXINT8", "area") not in found  # the row was not asked for


def test_every_figure_is_in_a_table_and_in_the_document(table):
    cells = [cell for one in table.tables() for column in one.columns for cell in column.cells]
    for text in ("e2m1/e2m1/ue4m3/ue4m3", "4.44", "24", "0.250", "0.7500 ± 0.0100", "-", "0.54"):
        assert text in cells
    assert {row.tensor_cores for row in table.rows} <= {*cells}
    document = json.loads(json.dumps(table.document()))
    assert [row["name"] for row in document["formats"]] == NAMES
    assert document["formats"][0]["minilm"] == {"value": 0.75, "error": 0.01}
    assert len(document["published"]) == len([*table.ratios])


def test_a_second_run_measures_what_failed_alone(tmp_path):
    format_table(NAMES, BARE, tmp_path, SERIAL)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    format_table(NAMES, BARE, tmp_path, SERIAL)
    failed = {path for path in times if "failure" in json.loads(path.read_text())}
    assert {path for path, time in times.items() if path.stat().st_mtime_ns != time} == failed
    assert len(failed) == 2  # E5M2's


def test_formats_and_ratios_name_what_there_is():
    for text, cores in FORMATS.values():
        MacConfig.parse(text).check_hardware()
        assert cores
    assert {name for one in PUBLISHED for name in (one.name, one.to)} <= FORMATS.keys()


def test_a_workload_that_is_not_there_is_a_note(monkeypatch):
    def absent(name):
        raise InputError(f"workload {name}: the package is not installed; pip install it")

    monkeypatch.setattr(formats, "load", absent)
    found = FormatMeasures.of(None, "digits")
    assert (found.digits, found.minilm, found.minilm_methods, found.path, found.energy) == (None,) * 5
    assert [note for note in found.notes if "minilm" in note] == [
        "Accuracy on minilm is left out: workload minilm: the package is not installed; pip install it."
    ]


def test_the_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(FormatMeasures, "of", lambda liberty, data: BARE)
    monkeypatch.setattr(engine, "local", lambda jobs: SERIAL)
    assert vsq.main(["report", "--formats", "int4", "nvfp4", "--out", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert "Costs" in captured.out
    assert captured.out.endswith(f"{tmp_path / 'formats.json'}\n")
    document = json.loads((tmp_path / "formats.json").read_text())
    assert [row["weight_bits"] for row in document["formats"]] == [4, 4.4375]
    assert document["kind"] == "formats"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--formats", "NVFP5"], "format 'NVFP5': there is none of that name"),
        (["4/4/4/6", "--formats"], "--formats: config is of the paper's report; leave it out"),
        (["--formats", "--data", "digits"], "--data digits: energy needs a library"),
    ],
)
def test_bad_input_is_one_line(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(FormatMeasures, "of", lambda liberty, data: BARE)
    assert vsq.main(["report", *arguments, "--out", str(tmp_path / "report")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) == 1
    assert not (tmp_path / "report").exists()
