"""The proof that emitted Verilog is the RTLIL, and that it finds what a wrong writer would write."""

import random

import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design
from vsq.hw.emit.verilog import expressions, netlist, processes
from vsq.tb.formal.emitted import DESIGNS, GATE, compare_text
from vsq.tb.formal.equivalence import Verdict

STYLES = ("behavioural", "bitheap", "carrysave", "lut")
MAC = "3/4U/2/3:V=2,R=4,acc=9,pipeline=2,style=behavioural"
ELEMENT = "3/3/1/2:V=1@lanes=2,weight_depth=1,activation_depth=2,multiplier_bits=3"


def verdict(text, interface="native"):
    made = design(configuration(text), interface)
    return compare_text(made, made.verilog(GATE))


@pytest.mark.parametrize(
    ("text", "interface"),
    [
        (MAC, "native"),
        (MAC, "axis"),
        (ELEMENT, "native"),
        ("e3m2/e3m2/2/-:V=2", "native"),
        ("4/e3m2/-/-:V=2", "native"),
    ],
)
def test_small_designs_are_proved(text, interface):
    assert verdict(text, interface) == Verdict.EQUIVALENT


def test_random_macs_are_proved():
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(2):
        elements = f"{chance.randint(2, 5)}{chance.choice(['', 'U'])}/{chance.choice(['e2m1', 'e3m2', '3', '4U'])}"
        scales = f"{chance.choice(['-', 2, 4])}/{chance.choice(['-', 1, 3])}"
        options = (
            f"V={chance.randint(1, 4)},pipeline={chance.randint(0, 3)},overflow={chance.choice(['saturate', 'wrap'])}"
        )
        text = f"{elements}/{scales}:{options},style={chance.choice(STYLES)}"
        print("seed", seed, text)
        assert verdict(text, chance.choice(["native", "axis"])) == Verdict.EQUIVALENT


@pytest.mark.slow
def test_random_elements_are_proved():
    seed = random.SystemRandom().randrange(1 << 32)
    chance = random.Random(seed)
    for _ in range(4):
        size, ppu = chance.randint(1, 4), chance.random() < 0.7
        mac = "/".join(chance.choice(pair) for pair in (["3", "e2m1"], ["4", "3U"], ["-", "2"], ["-", "3"]))
        lanes = size * chance.randint(1, 2) if ppu else chance.randint(1, 5)
        text = f"{mac}:V={size},pipeline={chance.randint(0, 3)},style={chance.choice(STYLES)}"
        text += f"@lanes={lanes},weight_depth={chance.choice([1, 2])},activation_depth={chance.choice([1, 2, 4])}"
        text += "" if ppu else ",ppu=off"
        print("seed", seed, text)
        assert verdict(text) == Verdict.EQUIVALENT


def no_enable(cell, pin, *rest, sound=processes._condition):
    return "" if pin == "EN" else sound(cell, pin, *rest)


def zero_extended(bits, signed, width, sound=netlist._extended):
    return sound(bits, False, width)


def swapped(parts, sound=expressions._repeated):
    return sound(parts)[::-1]


def reset_to_zero(cell):
    return f"{len(cell.pins['Q'])}'d0"


def unsigned(cell, *operands):
    return False


@pytest.mark.parametrize(
    ("module", "name", "wrong"),
    [
        (netlist, "_extended", zero_extended),
        (expressions, "_repeated", swapped),
        (processes, "_reset_value", reset_to_zero),
        (processes, "_condition", no_enable),
        (netlist.RtlilCell, "is_signed", unsigned),
    ],
)
def test_a_wrong_writer_is_found(module, name, wrong, monkeypatch):
    monkeypatch.setattr(module, name, wrong)
    assert verdict(MAC) == Verdict.DIFFERENT


def test_every_preset_pipeline_and_interface_is_on_the_list():
    made = [design(configuration(text), interface) for text, interface in DESIGNS]
    assert {one.config.pipeline for one in made if isinstance(one.config, MacConfig)} >= {0, 1, 3}
    assert {one.kind for one in made} == {"mac", "mac_axis", "pe"}
