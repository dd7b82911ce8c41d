"""The MAC behind AXI4-Stream: clean Verilog, its manifest, and a third party's master and slave against golden."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.runner import get_runner

from vsq.cli import main as vsq
from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac
from vsq.golden.stimulus.stream import beats
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.tb.simulation import objcache
from vsq.tb.simulation.simulators import find

CONFIGS = [
    MacConfig.parse(text)
    for text in (
        "4/4/4/6",
        "5/7/3/9:V=5,R=6,round=half_even",
        "8/8/-/-:V=2",
        "3/1U/-/1:V=1,acc=2,pipeline=0",
        "3/5/3/-:V=3,acc=23,overflow=wrap,pipeline=3",
    )
]

BENCH = """
import itertools, json, random
import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def packets(dut):
    Clock(dut.clk, 2, unit="ns").start()
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    chance = random.Random(1)
    source.set_pause_generator(chance.random() < 0.3 for _ in itertools.count())
    sink.set_pause_generator(chance.random() < 0.3 for _ in itertools.count())
    with open("packets.json") as file:
        sent = json.load(file)
    results = []
    for packet in sent:
        await source.send(AxiStreamFrame(bytes.fromhex(packet)))
    for packet in sent:
        results.append(bytes((await sink.recv()).tdata).hex())
    for _ in range(20):
        await RisingEdge(dut.clk)
    assert sink.empty()
    with open("results.json", "w") as file:
        json.dump(results, file)
"""


def lint(command, simulator):
    environment = {**os.environ, **simulator.environment()}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("- ")]


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axis")
    files = {config: folder / f"axis_{number}.v" for number, config in enumerate(CONFIGS)}
    for config, file in files.items():
        file.write_text(design(config, "axis").verilog(file.stem))
    return files


def test_two_linters_have_nothing_to_say(emitted, require_tool):
    require_tool("verilator")
    require_tool("icarus")
    verilator, icarus = find("verilator"), find("icarus")
    for config, file in emitted.items():
        assert lint([verilator.executable, "--lint-only", "-Wall", file], verilator) == (0, []), config
        assert lint([icarus.executable, "-Wall", "-o", "/dev/null", file], icarus) == (0, []), config


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_manifest_lists_the_ports(config, emitted):
    source = emitted[config]
    out = run_yosys(["read_verilog in.v", "proc", "write_json out.json"], {"in.v": source.read_text()}, ["out.json"])
    found = json.loads(out["out.json"])["modules"][source.stem]["ports"]
    ports = {(port, about["direction"], len(about["bits"])) for port, about in found.items()}
    listed = design(config, "axis").manifest(source.stem)["ports"]
    assert {(port["name"], port["direction"], port["width"]) for port in listed} == ports
    for port in listed:
        end = 0
        for field in port["fields"]:
            assert field["bit"] == end
            end += field["count"] * field["width"] + field.get("padding", {"width": 0})["width"]
        assert end == port["width"]


def field_bytes(values, field):
    """Little-endian two's complement in whole bytes: values are lanes, least significant first, or one number."""
    bits = field["width"]
    word = sum(
        (value & ((1 << bits) - 1)) << (lane * bits) for lane, value in enumerate(np.atleast_1d(values).tolist())
    )
    return word.to_bytes((field["count"] * bits + field["padding"]["width"]) // 8, "little")


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_packets_of_a_third_partys_master(simulator, require_tool, tmp_path, monkeypatch):
    require_tool(simulator)
    config = MacConfig.parse("4/5U/4/6:V=3,R=6,acc=15")
    stream = beats(config, 300, 1)
    stream.first[:] = [True, *stream.last[:-1]]
    assert vsq.main(["generate", config.full_name, "--name", "dut", "--interface", "axis", "--out", str(tmp_path)]) == 0
    ports = {port["name"]: port for port in json.loads((tmp_path / "dut.json").read_text())["ports"]}
    columns = {
        "weights": stream.weights,
        "activations": stream.activations,
        "weight_scale": stream.weight_scales,
        "activation_scale": stream.activation_scales,
    }
    packets, packet = [], b""
    for beat in range(len(stream)):
        for field in ports["s_axis_tdata"]["fields"]:
            packet += field_bytes(columns[field["name"]][beat], field)
        if stream.last[beat]:
            packets.append(packet.hex())
            packet = b""
    (tmp_path / "packets.json").write_text(json.dumps(packets))
    (tmp_path / "axis_packets.py").write_text(BENCH)

    for name, value in find(simulator).environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OBJCACHE", objcache.COMMAND)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    monkeypatch.syspath_prepend(tmp_path)
    runner = get_runner(simulator)
    about = {"hdl_toplevel": "dut", "build_dir": tmp_path / "build", "timescale": ("1ns", "1ps")}
    options = {"verilator": ["-CFLAGS", "-O1"], "icarus": []}[simulator]
    runner.build(sources=[tmp_path / "dut.v"], build_args=options, log_file=tmp_path / "build.log", **about)
    runner.test(
        test_module="axis_packets",
        test_dir=tmp_path,
        results_xml=str(tmp_path / "results.xml"),
        log_file=tmp_path / "simulation.log",
        **about,
    )

    got = []
    for result in json.loads((tmp_path / "results.json").read_text()):
        data = bytes.fromhex(result)
        acc, overflow = ports["m_axis_tdata"]["fields"]
        assert len(data) * 8 == ports["m_axis_tdata"]["width"]
        value = int.from_bytes(data[acc["bit"] // 8 : overflow["bit"] // 8], "little", signed=True)
        got.append((value, bool(data[overflow["bit"] // 8])))
    expected = mac(config, **vars(stream))
    assert got == list(zip(expected.acc.tolist(), expected.overflow.tolist(), strict=True))
    assert any(overflow for _, overflow in got)


def test_a_processing_element_has_no_axis_interface(tmp_path, capsys):
    assert vsq.main(["generate", "4/4/4/6", "--interface", "axis", "--out", str(tmp_path), "--pe"]) == 2
    assert "--interface axis: a processing element has plain ports alone" in capsys.readouterr().err
    assert not list(Path(tmp_path).iterdir())
