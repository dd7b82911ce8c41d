"""The formulas and meanings that headers and manifests show are those of the configuration."""

import pytest

from vsq.golden.contract.pe_config import configuration
from vsq.hw.emit.design import design

DOT, SUM = "d = sum_j weights[j] * activations[j]", "acc = saturate((0 if first else acc) + {})"
SPLIT = "{} * 2^k = weight_scale * activation_scale, {} the product of their significands"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("4/4/-/-", [DOT, SUM.format("d")]),
        ("4/4/4/6", [DOT, "r = weight_scale * activation_scale", SUM.format("d * r")]),
        (
            "nvfp4",
            [
                "weights[j], activations[j]: e2m1 in units of 2^-1; "
                "weight_scale, activation_scale: ue4m3 in units of 2^-9",
                DOT,
                SPLIT.format("r", "r"),
                SUM.format("d * r * 2^k"),
            ],
        ),
        (
            "4/4/ue4m3/6:R=5",
            [
                "weight_scale: ue4m3 in units of 2^-9",
                DOT,
                SPLIT.format("p", "p"),
                "r = round_half_up(p / 2^5)",
                SUM.format("d * r * 2^k"),
            ],
        ),
        (
            "4/4/e8m0/e8m0:window=20",
            [
                "weight_scale, activation_scale: e8m0",
                DOT,
                SPLIT.format("r", "r"),
                SUM.format("floor(d * r * 2^k / 2^offset)"),
            ],
        ),
        (
            "w4a8fp8",
            [
                "activations[j]: e4m3 in units of 2^-9; weight_scale: ue4m3 in units of 2^-9",
                "weights[j] = e4m3(clip(weights[j] * weight_scale, -224, 224))",
                DOT,
                SUM.format("d"),
            ],
        ),
    ],
)
def test_formulas_of_vector_macs(text, lines):
    assert design(configuration(text)).manifest()["function"] == lines


def test_an_enable_speaks_of_a_reset_where_there_is_one():
    for options, words in (("", ", if it does not reset"), (",reset=none", "")):
        about = design(configuration(f"4/4/4/6:clock_enable=1{options}")).manifest()
        [meaning] = [port["meaning"] for port in about["ports"] if port["name"] == "clk_en"]
        assert meaning == f"while it is 0, a clock edge changes nothing{words}"


def test_an_element_without_post_processing_requantizes_nothing():
    without, with_it = (design(configuration(f"4/4/4/6@{option}")).manifest() for option in ("ppu=off", "lanes=16"))
    assert with_it["function"][:3] == without["function"]
    assert len(with_it["function"]) == 6
    [kept], [plain] = (
        [port["meaning"] for port in about["ports"] if port["name"] == "result_acc"] for about in (with_it, without)
    )
    assert (kept, plain) == ("accumulator, if raw", "accumulator")
    assert with_it["cycles_per_command"].endswith("with L = 16 lanes")
    assert with_it["result"] == f"{without['result']}; requantized: y = code * scale * gamma_out"
