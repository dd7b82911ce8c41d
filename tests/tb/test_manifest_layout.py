"""Words packed from a manifest alone are those of the golden side's packing, for random configurations."""

import json
import random

import numpy as np
import pytest

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import ElementModel
from vsq.golden.stimulus.commands import result_beats
from vsq.tb.vectors.generation import drawn_streams, generate

VECTORS = 40
HANDSHAKE = ("valid", "ready")


def packed(ports, prefix, values):
    """Return a stream's word, lowest port first, from the values of its fields by name; None where none matters."""
    word, low = 0, 0
    for port in ports:
        if not port["name"].startswith(prefix) or port["name"].endswith(HANDSHAKE):
            continue
        for field in port["fields"]:
            elements = np.ravel(values[field["name"]]).tolist()
            assert len(elements) == field["count"]
            for index, value in enumerate(map(int, elements)):
                assert -(field["signed"] << (field["width"] - 1)) <= value < 1 << (field["width"] - field["signed"])
                bits = field["width"]
                if field.get("padding", {}).get("value") == "sign":
                    bits += field["padding"]["width"]
                word |= (value & ((1 << bits) - 1)) << (low + field["bit"] + index * field["width"])
        low += port["width"]
    return word


def read(folder, kind):
    return [int(line, 16) for line in (folder / f"dut_{kind}.memh").read_text().split()]


@pytest.fixture
def chance():
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)
    return random.Random(seed)


def spelled(chance):
    elements = f"{chance.randint(2, 9)}/{chance.randint(2, 9)}{chance.choice(['', 'U'])}"
    scales = f"{chance.choice(['-', 1, 4, 9])}/{chance.choice(['-', 2, 5, 8])}"
    overflow = chance.choice(["saturate", "wrap"])
    return f"{elements}/{scales}:V={chance.randint(1, 5)},overflow={overflow},style=behavioural"


@pytest.mark.parametrize("interface", ["native", "axis"])
def test_vector_macs(interface, chance, tmp_path):
    for number in range(4):
        config, folder = MacConfig.parse(spelled(chance)), tmp_path / str(number)
        print(config.full_name)
        generate(config, folder, "dut", vectors=VECTORS, seed=chance.randrange(1 << 32), interface=interface)
        ports = json.loads((folder / "dut.json").read_text())["ports"]
        arrays = dict(np.load(folder / "dut_vectors.npz"))
        columns = {name.removesuffix("s") if name.endswith("scales") else name: arrays[name] for name in arrays}
        tlast = {"s_axis_tlast": columns["last"], "m_axis_tlast": np.ones(len(columns["expected_acc"]))}
        results = {"acc": columns["expected_acc"], "overflow": columns["expected_overflow"]}
        for prefix, kind, of in (("in_", "stimulus", columns), ("out_", "expected", results)):
            prefix = prefix if interface == "native" else {"in_": "s_axis_t", "out_": "m_axis_t"}[prefix]
            words = read(folder, kind)
            assert words
            for index, word in enumerate(words):
                values = {name: column[index] for name, column in (of | tlast).items() if len(column) == len(words)}
                assert packed(ports, prefix, values) == word


def test_processing_elements(chance, tmp_path):
    for number in range(4):
        ppu = chance.random() < 0.7
        spelling = f"{spelled(chance)}@weight_depth=4,activation_depth=8,ppu={'on' if ppu else 'off'}"
        config, folder, seed = PeConfig.parse(spelling), tmp_path / str(number), chance.randrange(1 << 32)
        print(config.full_name)
        generate(config, folder, "dut", vectors=VECTORS, seed=seed)
        ports = json.loads((folder / "dut.json").read_text())["ports"]
        streams = drawn_streams(config, VECTORS, seed)
        columns = {
            "weights": {"codes": streams.weights.codes, "scale": streams.weights.scales},
            "activations": {"codes": streams.activations.codes, "scale": streams.activations.scales},
        }
        if ppu:
            columns["lane_params"] = vars(streams.params)
        expected = {"command": [vars(command) for command in streams.commands]}
        for stream, about in columns.items():
            fields = {name: column for name, column in about.items() if column is not None}
            count = len(next(iter(fields.values())))
            expected[stream] = [{name: column[beat] for name, column in fields.items()} for beat in range(count)]
        for stream, beats in expected.items():
            assert read(folder, stream) == [packed(ports, f"{stream}_", beat) for beat in beats]
        zeros = {"codes": [0] * config.mac.vector_size, "scale": 0, "acc": 0, "overflow": 0, "raw": 0}
        results = list(result_beats(ElementModel(config).run(streams)))
        assert read(folder, "expected") == [packed(ports, "result_", zeros | beat) for beat in results]
        assert all(word & ~care == 0 for word, care in zip(read(folder, "expected"), read(folder, "care"), strict=True))


def test_default_names_tell_the_interfaces_apart(tmp_path):
    config = MacConfig.parse("4/4/4/6:V=2,style=behavioural")
    generate(config, tmp_path)
    generate(config, tmp_path, interface="axis")
    generate(PeConfig(mac=config), tmp_path)
    names = [json.loads(path.read_text())["name"] for path in tmp_path.glob("*.json")]
    assert sorted(names) == [f"vsq_{kind}_{config.slug}" for kind in ("mac_axis", "mac", "pe")]
