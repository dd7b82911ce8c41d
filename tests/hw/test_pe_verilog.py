"""Emitted Verilog of the processing element: clean for two linters, reproducible, one module for all lanes."""

import json
import re
import subprocess

import pytest

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.simulation import simulators

CONFIGS = [
    "4/4U/4/6:V=4,R=6,style=behavioural@lanes=8",
    "8/8/-/-:V=3,style=behavioural@lanes=6",
    "2/2/1/1:V=1,style=behavioural@lanes=1,weight_depth=1,activation_depth=1",
    "4/4/4/-:V=4,style=behavioural@lanes=3,ppu=off",
    "nvfp4:V=4@lanes=8",
    "4/8/6/10:V=2,style=behavioural,pipeline=3,overflow=wrap",
    "4/4/4/6:V=2,style=behavioural@lanes=4,weight_depth=8,reuse=2",
    "3/3/-/2:V=1,acc=6,style=behavioural@lanes=2,ppu=off,weight_depth=1,activation_depth=4,reuse=8",
    "4/4U/4/6:V=2,style=behavioural,registered_ready=1@lanes=2,weight_depth=2,activation_depth=4,reuse=2",
]


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    """Verilog files of all configurations."""
    folder = tmp_path_factory.mktemp("verilog")
    files = {}
    for text in CONFIGS:
        config = PeConfig.parse(text)
        files[config] = folder / f"{design(config).default_name}.v"
        files[config].write_text(design(config).verilog())
    return files


def lint(name, arguments):
    found = simulators.find(name)
    done = subprocess.run(
        [found.executable, *arguments], capture_output=True, text=True, check=False, env=found.environment()
    )
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("- ")]


@pytest.mark.parametrize(("name", "flags"), [("verilator", ["--lint-only"]), ("icarus", ["-o", "/dev/null"])])
def test_linters_have_nothing_to_say(name, flags, emitted, require_tool):
    require_tool(name)
    for config, file in emitted.items():
        assert lint(name, [*flags, "-Wall", str(file)]) == (0, []), config


def test_lanes_share_one_module(emitted):
    config, file = next(iter(emitted.items()))
    name, text = design(config).default_name, file.read_text()
    modules = set(re.findall(r"^module (\w+)\(", text, flags=re.MULTILINE))
    parts = {*design(config).parts.values()} - {"decoder", "pair_sums"}  # of dual precision, of 6 bits and more
    memories = {entry["module"]: entry["count"] for entry in design(config).manifest()["memories"]}
    assert modules == {name, *(f"{name}_{part}" for part in parts), *memories}
    for module, count in memories.items():
        assert len(re.findall(rf"^  {module} way\d", text, flags=re.MULTILINE)) == count
    assert len(re.findall(rf"^  {name}_lane lane\d", text, flags=re.MULTILINE)) == 8


def test_ports_of_parts_have_names(emitted):
    for config, file in emitted.items():
        text = file.read_text()
        assert not re.findall(r"\b\w*port\d+\b", text), config
        marks = re.findall(r"input  wire (?:\[\d:0\])? +(first_last\w*),", text)
        assert marks == ["first_last" if config.reuse == 1 else "first_last_slot"], config
        assert re.search(r"output wire (\[\d:0\])? +entries_out,", text), config


def test_same_configuration_gives_the_same_bytes():
    config = PeConfig.parse(CONFIGS[2])
    assert design(config).verilog() == design(config).verilog()


def test_manifest_lists_the_ports_of_the_verilog(emitted):
    for config, file in emitted.items():
        out = run_yosys(["read_verilog in.v", "proc", "write_json out.json"], {"in.v": file.read_text()}, ["out.json"])
        ports = {
            (port, about["direction"], len(about["bits"]), bool(about.get("signed", 0)))
            for port, about in json.loads(out["out.json"])["modules"][design(config).default_name]["ports"].items()
        }
        listed = design(config).manifest()["ports"]
        assert {(p["name"], p["direction"], p["width"], p["signed"]) for p in listed} == ports, config
        assert all(port["meaning"] for port in listed[2:])


def test_manifest_says_what_the_interface_needs():
    config = PeConfig.parse("4/4U/4/6:V=4,R=6@lanes=8,activation_depth=64")
    about = design(config).manifest("element")
    assert about["name"] == "element"
    assert about["configuration"] == config.full_name
    assert (about["lanes"], about["vector_size"], about["scale_shift"]) == (8, 4, 4)
    assert about["command"]["rows"] == "1 to 64"
    assert about["latency_cycles"]["first accumulator of a lone command"] == "loads + vectors + 4"  # D + 3
    ports = {port["name"]: port for port in about["ports"]}
    assert ports["activations_codes"]["fields"][0]["signed"] is False
    assert ports["weights_codes"]["fields"] == [{"name": "codes", "bit": 0, "count": 4, "width": 4, "signed": True}]
    json.dumps(about)
