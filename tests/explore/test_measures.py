"""Measures of the exploration beside the functions of the package that give the same figures."""

import subprocess
import sys

import pytest

pytest.importorskip("bracex")

import vsq
from vsq.explore.exploration import measures
from vsq.explore.measures.measure import numerics
from vsq.explore.space import point
from vsq.explore.store import Task
from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.distribution import missing
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.pe_config import configuration


def test_layouts_need_a_lef(tmp_path):
    with pytest.raises(InputError, match="lef is missing; write layout:lef="):
        measures(["layout:liberty=cells.lib"])
    with pytest.raises(InputError, match=r"LEF file .*cells\.lef: No such file"):
        measures([f"layout:liberty=cells.lib,lef={tmp_path / 'cells.lef'}"])


def test_settings_of_accuracy_are_checked_without_loading_torch():
    code = "import sys; from vsq.explore.exploration import measures; measures(['accuracy:input_gamma=row'])"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_accuracy_needs_torch_before_anything_is_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError) as found:
        measures(["accuracy"])
    assert missing(found.value) == "torch is not installed; pip install -e '.[torch]'"


def test_resources_of_fpgas():
    [measure] = measures(["fpga:family=ecp5"])
    tasks = [Task.of(point(name), measure) for name in ("3/2U/4/-:V=2", "3/2U/4/-:V=2,target=fpga")]
    assert len({task.key for task in tasks}) == 1
    found = {(one["component"], one["quantity"]): one["value"] for one in tasks[0].run()["records"]}
    [expected] = vsq.fpga(["3/2U/4/-:V=2"], families=["ecp5"]).designs["ecp5"]
    for component, resources in {"total": expected.total, **expected.components}.items():
        assert found[component, "lookup tables"] == resources.tables
        assert found[component, "flip-flops"] == resources.flip_flops
        assert found[component, "DSP blocks"] == resources.dsps
        assert found[component, "memories"] == resources.memories
    assert found["total", "lookup tables"] > found["total", "flip-flops"] > 0
    with pytest.raises(InputError, match="family 'stratix': choose ice40 or ecp5"):
        measures(["fpga:family=stratix"])


@pytest.mark.parametrize(
    ("workload", "reason"),
    [
        ("os:getcwd", "os is part of the interpreter; give your own"),
        ("sys:exit", "sys is part of the interpreter; give your own"),
        ("__main__:work", "there is no module '__main__' here"),
        (".mine:work", "there is no module '.mine' here"),
    ],
)
def test_workloads_are_in_files(workload, reason, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None)  # as in a script
    with pytest.raises(InputError, match=f"^workload '{workload}': {reason}"):
        measures([f"accuracy:workload={workload}"])


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("4/4U/4/6:R=6,round=truncate,acc=30,pipeline=3@", "4/4U/4/6:R=6,round=truncate"),
        ("mxfp4", "e2m1/e2m1/e8m0/e8m0:V=32"),
        ("w4a8fp8", "4/e4m3/ue4m3/-:dpq=1"),
        ("e5m2/e5m2/ue4m3/ue4m3:window=90", "e5m2/e5m2/ue4m3/ue4m3:window=90"),
        ("e5m2/e4m3/ue4m3/ue4m3:acc=96,pipeline=2", "e5m2/e4m3/ue4m3/ue4m3:acc=96"),
    ],
)
def test_what_the_values_of_a_network_depend_on(given, values):
    assert numerics(configuration(given)) == MacConfig.parse(values)
