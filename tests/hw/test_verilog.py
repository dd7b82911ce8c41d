"""Emitted Verilog: clean for two linters, reproducible, and as its manifest says."""

import json
import os
import subprocess

import pytest
from amaranth.hdl import Signal

from vsq.golden.contract.config import PRESETS, MacConfig, Target
from vsq.golden.contract.pe_config import configuration
from vsq.hw.arithmetic.ccu2c import CHAIN
from vsq.hw.emit.design import MacDesign, design
from vsq.hw.emit.yosys import YosysError, run_yosys
from vsq.hw.mac.datapath import ScalePath
from vsq.tb.simulation.simulators import find

EDGES = [
    "1U/1U/1/1:V=1,R=1,pipeline=3,acc=2",
    "4/1U/1/1:V=1,R=1,pipeline=3",
    "1U/4/3/1:V=3,R=2,pipeline=2",
    "16/16/16/16:V=2,R=1",
    "2/2/1/-:V=5,pipeline=0",
    "4/4U/4/4:V=3,R=4,round=half_even,overflow=wrap,acc=10,pipeline=3",
    "4/4/4/6:acc=96",
    "4/4/4/6:acc=3,R=3,round=truncate",
    "8/8/-/-:V=5,pipeline=3,overflow=wrap",
    "e2m1/e2m1/4/6:V=3,pipeline=2",
    "4/e2m1/-/6:V=3",
    "e2m1/3U/-/-:V=3,style=behavioural",
    "e3m2/e2m3/4/6:V=3,pipeline=2",
    "4/e3m2/-/6:V=3",
    "3U/3U/5/ue4m3:V=2,acc=12,pipeline=2",
    "3/3U/ue4m3/-:V=2,R=2,round=half_even,pipeline=3",
    "e4m3/e5m2/4/-:V=2",
    "4/3U/4/6:V=3,style=lut,pipeline=3",
    "4/3U/4/6:V=3,R=5,style=carrysave,pipeline=3",
    "4/4/4/6:style=carrysave",
    "5/5/-/-:V=2,acc=3,reset=none,style=carrysave",
    "4/e4m3/ue4m3/-:V=3,dpq=1,pipeline=2,style=carrysave",
    "2/16U/-/-:V=1,narrow=1,style=carrysave",
    "e2m1/e4m3/ue4m3/4:V=2,style=carrysave,window=40",
    "e2m1/4/ue4m3/-:V=2,target=fpga,dsp=scales",
    "4/3U/4/6:V=3,target=ecp5",
    "4/4/4/ue4m3:V=2,acc=10,overflow=wrap",
    "4/4/4/-:R=2",
    "2U/5/6/10:V=3,acc=10,overflow=wrap,pipeline=2",
    "2/5U/ue4m3/ue5m3:V=2,acc=16,overflow=wrap,pipeline=2",
    "e5m2/2U/ue4m3/ue4m3:V=2,R=3,acc=16,overflow=wrap,target=fpga,dsp=all",
    "e5m2/e2m1/ue4m3/ue5m3:V=1,acc=16,pipeline=3,style=behavioural",
    "6U/e4m3/ue4m3/ue4m3:V=3,R=2,window=90,pipeline=2,target=ecp5",
]


@pytest.fixture(
    scope="module", params=[[*PRESETS], pytest.param(EDGES, marks=pytest.mark.slow)], ids=["presets", "edges"]
)
def emitted(request, tmp_path_factory):
    """Verilog files by configuration."""
    folder = tmp_path_factory.mktemp("verilog")
    files = {}
    for config in map(MacConfig.parse, request.param):
        files[config] = folder / f"{design(config).default_name}.v"
        files[config].write_text(design(config).verilog())
    return files


def lint(command, simulator):
    environment = {**os.environ, **simulator.environment()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("- ")]


def test_verilator_has_nothing_to_say(emitted, require_tool):
    require_tool("verilator")
    verilator = find("verilator")
    for config, file in emitted.items():
        assert lint([verilator.executable, "--lint-only", "-Wall", file], verilator) == (0, []), config


def test_icarus_has_nothing_to_say(emitted, require_tool):
    require_tool("icarus")
    icarus = find("icarus")
    for config, file in emitted.items():
        assert lint([icarus.executable, "-Wall", "-o", "/dev/null", file], icarus) == (0, []), config


def test_slang_has_nothing_to_say(emitted):
    """It is strict where other front ends are not, such as about names that are used before their declaration."""
    element = design(configuration("4/4/4/6:V=4@lanes=4,weight_depth=4,activation_depth=8,reuse=2"))
    texts = {file.stem: file.read_text() for file in emitted.values()} | {element.default_name: element.verilog()}
    for name, text in texts.items():
        log = run_yosys([f"read_slang --no-synthesis-define --top {name} in.v"], {"in.v": text})["log"]
        assert "Build succeeded: 0 errors, 0 warnings" in log, log


def test_same_configuration_gives_the_same_bytes():
    config = MacConfig.parse("headline")
    assert design(config).verilog() == design(MacConfig.parse("4/4/4/6")).verilog()


def test_manifest_lists_the_ports_of_the_verilog(emitted):
    for config, file in emitted.items():
        name = design(config).default_name
        out = run_yosys(["read_verilog in.v", "proc", "write_json out.json"], {"in.v": file.read_text()}, ["out.json"])
        modules = json.loads(out["out.json"])["modules"]
        ports = {
            (port, about["direction"], len(about["bits"]), bool(about.get("signed", 0)))
            for port, about in modules[name]["ports"].items()
        }
        listed = {(p["name"], p["direction"], p["width"], p["signed"]) for p in design(config).manifest()["ports"]}
        assert listed == ports, config
        parts = {module.removeprefix(f"{name}_") for module in modules} - {name}
        absent = {"scale": config.dual_precision or not config.full_product_bits, "decoder": not config.dual_precision}
        chains = {CHAIN} if config.target == Target.ECP5 else set()
        assert parts == {part for part in MacDesign.parts.values() if not absent.get(part)} | chains, config


def test_manifest_says_what_the_interface_needs():
    config = MacConfig.parse("4/4U/4/6:R=6,pipeline=2")
    about = design(config).manifest("my_mac")
    assert about["name"] == "my_mac"
    assert about["configuration"] == "4/4U/4/6:R=6,pipeline=2"
    assert about["latency_cycles"] == 3
    assert about["throughput_vectors_per_cycle"] == 1
    assert about["scale_shift"] == 4
    assert about["widths"]["acc"] == config.acc_bits
    weights = next(port for port in about["ports"] if port["name"] == "in_weights")
    assert weights["fields"] == [{"name": "weights", "bit": 0, "count": 16, "width": 4, "signed": True}]


def test_yosys_errors_are_reported_not_fatal():
    with pytest.raises(YosysError, match="No such command"):
        run_yosys(["no_such_command"])


def test_ports_that_amaranth_renames_are_connected(monkeypatch, require_tool, tmp_path):
    """An edit after which the scale path has two signals named d: its port and the input of a part."""
    require_tool("icarus")
    sound = ScalePath.elaborate

    def edited(self, platform):
        port, self.d = self.d, Signal(self.d.shape(), name="d")
        m = sound(self, platform)
        m.d.comb += self.d.eq(port ^ (port == 117))
        self.d = port
        return m

    monkeypatch.setattr(ScalePath, "elaborate", edited)
    file = tmp_path / "edited.v"
    file.write_text(design(MacConfig.parse("4/4/4/6:V=2")).verilog("edited"))
    assert "$" not in file.read_text()
    icarus = find("icarus")
    assert lint([icarus.executable, "-Wall", "-o", "/dev/null", file], icarus) == (0, [])
