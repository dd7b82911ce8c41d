"""Companion files: each is read by the tool that it is for, and carries the words of the golden packing."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vsq
from vsq.golden.contract.config import PRESETS
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.companions.kinds import KINDS, companion_files
from vsq.hw.emit.design import design
from vsq.hw.emit.yosys import run_yosys
from vsq.synth.flow.synthesis import Flow, synthesize
from vsq.tb.simulation.simulators import find

ROOT = Path(__file__).parents[2]
ELEMENT = "4/4U/4/6:V=2,style=behavioural@lanes=2,weight_depth=2,activation_depth=4"
GENERAL = [kind for kind in KINDS if kind != "cfu"]  # those of every design
DESIGNS = {
    "mac": ("4/4U/4/6:V=3,R=6,style=behavioural", "native"),
    "axis": ("4/e2m1/3/-:V=3,acc=70,style=behavioural", "axis"),
    "pe": (ELEMENT, "native"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of designs with 1,000 test vectors or some commands, and all companions."""
    folders = {}
    for name, (config, interface) in DESIGNS.items():
        folders[name] = tmp_path_factory.mktemp(name)
        vectors = 60 if name == "pe" else 1000
        vsq.generate(config, folders[name], name, vectors=vectors, interface=interface, companions=GENERAL)
    return folders


def called(command, folder, **variables):
    """Return the exit code and output of a command."""
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def verilator(folder, *arguments):
    simulator = find("verilator")
    return called([simulator.executable, "--lint-only", "-Wall", *arguments], folder, **simulator.environment())


def manifest(folder, name):
    return json.loads((folder / f"{name}.json").read_text())


@pytest.mark.parametrize("name", DESIGNS)
def test_verilator_reads_the_file_list(name, made, require_tool):
    require_tool("verilator")
    assert "rror" not in (printed := verilator(made[name], "-f", f"{name}.f"))[1]
    assert printed[0] == 0
    (made[name] / "wrong.f").write_text((made[name] / f"{name}.f").read_text().replace(".v", "x.v"))
    assert verilator(made[name], "-f", "wrong.f")[0] == 1


def plain_top(about):
    """SystemVerilog with the ports of a design, each field of which goes to its element of the interfaces' structs."""
    name, lines, ports = about["name"], [], {port["name"]: port for port in about["ports"]}
    head = [f"{port['direction']} logic [{port['width'] - 1}:0] {port['name']}" for port in about["ports"]]
    for stream in about["streams"]:
        inside, prefix = f"i_{stream['name']}", stream["valid"].removesuffix("valid")
        lines.append(f"{name}_{stream['name']}_if {inside}();")
        pairs = [(stream["valid"], f"{inside}.valid"), (stream["ready"], f"{inside}.ready")]
        for port in stream["payload"]:
            for field in ports[port]["fields"]:
                member = f"{inside}.payload.{field['name'].removeprefix(prefix)}"
                for index in range(field["count"]):
                    low = field["bit"] + index * field["width"]
                    element = f"{member}[{index}]" if field["count"] > 1 else member
                    pairs.append((f"{port}[{low} +: {field['width']}]", element))
                if pad := field.get("padding", {"width": 0})["width"]:
                    low = field["bit"] + field["count"] * field["width"]
                    pairs.append((f"{port}[{low} +: {pad}]", f"{member}_padding"))
        for port, member in pairs:
            inwards = ports[port.partition("[")[0]]["direction"] == "input"
            lines.append(f"assign {member} = {port};" if inwards else f"assign {port} = {member};")
    taken = {port for stream in about["streams"] for port in (stream["valid"], stream["ready"], *stream["payload"])}
    pins = [f".{port}({port})" for port in ports if port not in taken]
    pins += [f".{stream['name']}(i_{stream['name']})" for stream in about["streams"]]
    lines.append(f"{name}_wrapper wrapped({', '.join(pins)});")
    return "\n".join([f"module plain_top({', '.join(head)});", *lines, "endmodule\n"])


def test_long_names_are_clean_too(require_tool, tmp_path):
    """Those of 127 characters with the longest ending, and those that Verilator shortens."""
    require_tool("verilator")
    for length in (127 - len("_wrapper"), 128 - len("_wrapper"), 190):
        name = "n" * length
        vsq.generate("4/4/4/6:V=1", tmp_path, name, companions=["svh"])
        code, text = verilator(tmp_path, "-f", f"{name}_wrapper.f")
        assert (code, "%Warning" in text) == (0, False), text


@pytest.mark.parametrize("name", DESIGNS)
def test_the_wrapper_connects_each_element_of_each_struct(name, made, require_tool):
    """Verilator has nothing to say, and slang connects the design's pins as the manifest has its fields."""
    require_tool("verilator")
    folder = made[name]
    (folder / "plain_top.sv").write_text(plain_top(manifest(folder, name)))
    assert verilator(folder, "--top", "plain_top", "-f", f"{name}_wrapper.f", "plain_top.sv")[0] == 0
    assert verilator(folder, "--top", f"{name}_wrapper", "-f", f"{name}_wrapper.f")[0] == 0
    files = [f"{name}_wrapper.f", *(folder / f"{name}_wrapper.f").read_text().split(), "plain_top.sv"]
    script = [
        f"read_slang --top plain_top --blackboxed-module {name} -f {files[0]} plain_top.sv",
        "flatten",
        "opt_clean",
        "write_json out.json",
    ]
    out = run_yosys(script, {file: (folder / file).read_text() for file in files}, ["out.json"])["out.json"]
    top = json.loads(out)["modules"]["plain_top"]
    [cell] = top["cells"].values()
    ports = manifest(folder, name)["ports"]
    assert {port["name"] for port in ports} == {*cell["connections"]}
    for port in ports:
        assert cell["connections"][port["name"]] == top["ports"][port["name"]]["bits"], port["name"]


@pytest.mark.parametrize("name", DESIGNS)
def test_elements_of_structs_have_the_signs_of_the_manifest(name, made):
    about = manifest(made[name], name)
    inputs, outputs, lines, signs = [], [], [], {}
    for stream in about["streams"]:
        inputs.append(f"input {name}_pkg::{stream['name']}_t {stream['name']}")
        for port in (port for port in about["ports"] if port["name"] in stream["payload"]):
            for field in port["fields"]:
                member = field["name"].removeprefix(stream["valid"].removesuffix("valid"))
                output = f"o_{stream['name']}_{member}"
                outputs.append(f"output logic [{field['width']}:0] {output}")
                element = f"{member}[0]" if field["count"] > 1 else member
                lines.append(f"assign {output} = {stream['name']}.{element};")
                signs[output] = field["signed"]
    text = "\n".join([f"module signs({', '.join(inputs + outputs)});", *lines, "endmodule"])
    files = {"signs.sv": text, "pkg.sv": (made[name] / f"{name}_pkg.sv").read_text()}
    script = ["read_slang --top signs pkg.sv signs.sv", "opt_clean", "write_json out.json"]
    ports = json.loads(run_yosys(script, files, ["out.json"])["out.json"])["modules"]["signs"]["ports"]
    for output, signed in signs.items():
        *_, high, extension = ports[output]["bits"]
        assert extension == (high if signed else "0"), output


_MAIN = """#include <stdio.h>
#include <stdlib.h>
#include "%(header)s"
int main(void)
{
  %(type)s_t beat;
  uint8_t word[%(macro)s_BYTES], again[%(macro)s_BYTES];
  while (fread(word, sizeof word, 1, stdin) == 1) {
    %(type)s_unpack(word, &beat);
%(show)s
    %(type)s_pack(&beat, again);
    printf(memcmp(word, again, sizeof word) ? "differs\\n" : "same\\n");
  }
  return 0;
}
"""


def shown(member, count, limbs):
    """C that prints each element of a member, and each part of a wide one."""
    lines = []
    for index in range(count):
        for limb in range(limbs):
            part = f"beat.{member}" + (f"[{index}]" if count > 1 else "") + (f"[{limb}]" if limbs > 1 else "")
            lines.append(f'    printf("%lld ", (long long){part});')
    return lines


@pytest.mark.parametrize(("name", "compiler"), [("mac", "gcc"), ("axis", "gcc"), ("axis", "g++"), ("pe", "gcc")])
def test_c_unpacks_and_packs_the_words_of_the_golden_model(name, compiler, made, require_tool):
    """The words are those of the test vectors, from golden's packing; 1,000 of a vector MAC."""
    require_tool(compiler)
    folder, total = made[name], 0
    about = manifest(folder, name)
    ports = {port["name"]: port for port in about["ports"]}
    for stream in about["streams"]:
        output = stream["direction"] == "output"
        kind = "expected" if output else stream["name"] if name == "pe" else "stimulus"
        words = [int(line, 16) for line in (folder / f"{name}_{kind}.memh").read_text().split()]
        fields, low, show = [], 0, []
        for port in stream["payload"]:
            for field in ports[port]["fields"]:
                member = field["name"].removeprefix(stream["valid"].removesuffix("valid"))
                limbs = -(-field["width"] // 64)
                show += shown(member, field["count"], limbs)
                fields += [
                    (low + field["bit"] + index * field["width"], field["width"], field["signed"], limbs)
                    for index in range(field["count"])
                ]
            low += ports[port]["width"]
        size = -(-low // 8)
        about_c = {"type": f"{name}_{stream['name']}", "header": f"{name}.h", "show": "\n".join(show)}
        (folder / "main.c").write_text(_MAIN % {**about_c, "macro": about_c["type"].upper()})
        flags = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic"]
        standard = ["-std=c99"] if compiler == "gcc" else ["-x", "c++", "-std=c++11"]
        code, printed = called([compiler, *standard, *flags, "-o", "main", "main.c"], folder)
        assert code == 0, printed
        given = b"".join(word.to_bytes(size, "little") for word in words)
        lines = subprocess.run([folder / "main"], input=given, capture_output=True, check=True).stdout.decode()
        total += len(words)
        for line, word in zip(lines.splitlines(), words, strict=True):
            *got, verdict = line.split()
            assert verdict == "same"
            expected = []
            for bit, width, signed, limbs in fields:
                value = word >> bit & ((1 << width) - 1)
                value -= (signed and value >> (width - 1)) << width
                for limb in range(limbs):
                    part = value >> 64 * limb & (1 << 64) - 1 if limbs > 1 else value
                    expected.append(part - (part >> 63 << 64) if limbs > 1 else part)
            assert [*map(int, got)] == expected
    assert total > (1000 if name != "pe" else 100)


def test_opensta_reads_the_constraints(made, osu018, require_tool):
    require_tool("sta")
    folder = made["mac"]
    netlist = synthesize(design(configuration(DESIGNS["mac"][0])).rtlil("mac"), "mac", Flow(library=osu018))
    (folder / "cells.lib").write_text(osu018.text)
    (folder / "mapped.v").write_text(re.sub(r"\bsigned ", "", netlist.verilog))
    script = ["read_liberty cells.lib", "read_verilog mapped.v", "link_design mac", "source mac.sdc"]
    (folder / "script.tcl").write_text("\n".join([*script, "check_setup -verbose", "report_checks", "exit"]))
    code, printed = called(["sta", "-no_splash", "-exit", "script.tcl"], folder)
    assert code == 0
    assert not re.search(r"[Ww]arning|[Ee]rror", printed), printed
    assert re.search(r"10\.00 +10\.00 +clock clk \(rise edge\)", printed), printed


def test_constraints_name_every_port_once(made):
    for name in DESIGNS:
        text = (made[name] / f"{name}.sdc").read_text()
        named = re.findall(r"[a-z]\w*(?=\[\*\]|[ }])", " ".join(re.findall(r"get_ports \{(.*)\}", text)) + " ")
        ports = [port["name"] for port in manifest(made[name], name)["ports"] if port["name"] != "clk"]
        assert sorted(named) == sorted(ports)


@pytest.mark.parametrize("name", ["mac", *(pytest.param(name, marks=pytest.mark.slow) for name in ("axis", "pe"))])
def test_fusesoc_runs_every_target(name, made, require_tool, tmp_path):
    pytest.importorskip("fusesoc")
    for tool in ("verilator", "icarus", "yosys"):
        require_tool(tool)
    variables = find("verilator").environment()
    run = [sys.executable, "-m", "fusesoc.main", "--cores-root", made[name], "run", "--target"]
    for target in ("lint", "sim", "synth"):
        code, printed = called([*run, target, f"::{name}"], tmp_path, **variables)
        assert code == 0, printed
        assert ("PASS" in printed) == (target == "sim"), printed
    assert [*tmp_path.rglob(f"{name}*.json")]
    wrong = tmp_path / "wrong"
    shutil.copytree(made[name], wrong)
    text = (wrong / f"{name}.v").read_text()
    (wrong / f"{name}.v").write_text(text.replace("_ready = ", "_ready = 2'b0 + ", 1).replace("~", "", 1))
    run[run.index(made[name])] = wrong
    assert called([*run, "lint", f"::{name}"], tmp_path, **variables)[0] == 1


@pytest.mark.slow
def test_fusesoc_generates_a_core(require_tool, tmp_path):
    pytest.importorskip("fusesoc")
    require_tool("verilator")
    variables = find("verilator").environment()
    python = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"  # of the generator
    run = [sys.executable, "-m", "fusesoc.main", "--cores-root", ROOT / "examples" / "fusesoc", "run"]
    code, printed = called(
        [*run, "--target", "lint", "::example"],
        tmp_path,
        **{**variables, "PATH": python, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert code == 0, printed
    assert "my_mac.v" in printed or [*tmp_path.rglob("my_mac.v")], printed


def test_a_core_without_bench_has_no_simulation(tmp_path):
    yaml = pytest.importorskip("yaml")
    vsq.generate("4/4/4/6:V=2,style=behavioural", tmp_path, "mac", companions=["core"])
    first, text = (tmp_path / "mac.core").read_text().split("\n", 1)
    core = yaml.safe_load(text)
    assert first == "CAPI=2:"
    assert set(core["targets"]) == {"default", "lint", "synth"}
    assert set(core["filesets"]) == {"rtl"}


def test_librelane_is_told_files_and_ports_that_exist(made):
    for name in DESIGNS:
        about = json.loads((made[name] / f"{name}_librelane.json").read_text())
        assert about["meta"] == {"version": 2}
        [file] = about["VERILOG_FILES"]
        assert (made[name] / file.removeprefix("dir::")).is_file()
        assert about["DESIGN_NAME"] == name
        assert about["CLOCK_PORT"] in {port["name"] for port in manifest(made[name], name)["ports"]}
        assert about["CLOCK_PERIOD"] > 0


@pytest.mark.parametrize("name", DESIGNS)
def test_waves_have_the_signals_of_the_save_file(name, made, require_tool):
    """Every bit that the save file shows is in the dump of the bench; elements are the fields of the manifest."""
    require_tool("icarus")
    folder = made[name]
    assert called(["iverilog", "-o", "tb", f"{name}_tb.v", f"{name}.v"], folder)[0] == 0
    assert called(["vvp", "-n", "tb", "+dump"], folder)[0] == 0
    scope, widths = [], {}
    for kind, *words in map(
        str.split, (folder / f"{name}_tb.vcd").read_text().partition("$enddefinitions")[0].splitlines()
    ):
        if kind == "$scope":
            scope.append(words[1])
        elif kind == "$upscope":
            scope.pop()
        elif kind == "$var":
            widths[".".join([*scope, words[3]])] = int(words[1])
    shown, elements = set(), {}
    text = (folder / f"{name}.gtkw").read_text()
    for label, bits in re.findall(r"^#\{(.*)\} (.*)$", text, re.MULTILINE):
        places = re.findall(r"\((\d+)\)(\S+)\[(\d+):0\]", bits)
        elements[places[0][1].rpartition(".")[2], label] = [int(high) - int(index) for index, _, high in places]
        assert all(widths[signal] == int(high) + 1 for _, signal, high in places)
        shown |= {signal for _, signal, _ in places}
    shown |= {line.partition("[")[0] for line in text.splitlines() if line.startswith(f"{name}_tb")}
    ports = manifest(folder, name)["ports"]
    assert shown == {f"{name}_tb.dut.{port['name']}" for port in ports}
    assert shown <= set(widths)
    for port in ports:
        fields = port["fields"]
        for field in fields if len(fields) > 1 or fields[0]["count"] > 1 else []:
            for index in range(field["count"]):
                low = field["bit"] + index * field["width"]
                label = field["name"] + (f"[{index}]" if field["count"] > 1 else "")
                assert elements[port["name"], label] == [*reversed(range(low, low + field["width"]))]


def test_gtkwave_shows_elements_as_signed_decimals(made, require_tool, tmp_path):
    for tool in ("icarus", "gtkwave", "xvfb-run"):
        require_tool(tool)
    folder = made["mac"]
    assert called(["iverilog", "-o", "tb", "mac_tb.v", "mac.v"], folder)[0] == 0
    assert called(["vvp", "-n", "tb", "+dump"], folder)[0] == 0
    # Closed groups are not printed.
    opened = (folder / "mac.gtkw").read_text().replace("@c00200", "@800200").replace("@1401200", "@1000200")
    (folder / "open.gtkw").write_text(opened)
    script = [
        "gtkwave::setZoomRangeTimes 5300 5500",
        "gtkwave::setMarker 5405",
        'gtkwave::/File/Print_To_File PS {Letter (8.5" x 11")} {Full} {page.ps}',
        "gtkwave::/File/Quit",
    ]
    (folder / "script.tcl").write_text("\n".join(script))
    called(["timeout", "60", "xvfb-run", "-a", "gtkwave", "-a", "open.gtkw", "-S", "script.tcl", "mac_tb.vcd"], folder)
    printed = (folder / "page.ps").read_text(errors="replace")
    values = dict(re.findall(r"\((\w+\[\d\])=(-?\d+)\)", printed))
    assert set(values) == {f"{side}[{index}]" for side in ("weights", "activations") for index in range(3)}
    assert all(-8 <= int(value) < 16 for value in values.values())


SCHEMA = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())


def test_every_manifest_follows_the_published_schema():
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    options = ("ppu=off", "ppu=off,reuse=2")
    elements = [f"{name}@weight_depth=4,activation_depth=8,{option}" for name in PRESETS for option in options]
    elements += ["4/4U/4/6@weight_depth=4,activation_depth=8"]
    for text, interface in [
        *((name, i) for name in PRESETS for i in ("native", "axis")),
        *((e, "native") for e in elements),
    ]:
        about = json.loads(json.dumps(design(configuration(text), interface).manifest()))
        check.validate(about)
        for entry in about:
            if entry not in SCHEMA["required"]:
                continue
            assert not check.is_valid({key: value for key, value in about.items() if key != entry}), entry
        assert not check.is_valid({**about, "schema": "2.0"})
        assert not check.is_valid({**about, "another": 1})


def test_what_is_no_kind_is_refused_before_anything_is_written(tmp_path, capsys):
    with pytest.raises(vsq.InputError, match=r"^companion 'cores': choose among core, librelane, .*"):
        vsq.generate("4/4/4/6", tmp_path, companions=["c", "cores"])
    assert not [*tmp_path.iterdir()]


def test_a_kind_that_is_given_twice_counts_once():
    made_design = design(configuration("4/4/4/6:V=2"))
    files = companion_files(["svh"], made_design.manifest("x"))
    assert [*files] == ["x_pkg.sv", "x_in_if.sv", "x_out_if.sv", "x_wrapper.sv", "x_wrapper.f"]
    assert files == companion_files(["svh", "svh"], made_design.manifest("x"))
