"""The processing element under cocotb: random commands pass, and planted defects are found."""

import re
from types import SimpleNamespace

import pytest
from amaranth.hdl import Cat, Const, Mux

from vsq.golden.contract.pe_config import PeConfig
from vsq.hw.emit.design import design
from vsq.hw.pe import control, encode, ppu, recurrence, requantize
from vsq.tb.coverage.points import missing
from vsq.tb.designs import ENVIRONMENTS, RANDOM_TESTS
from vsq.tb.regression.job import TOP, Job, run_jobs

CHOSEN = [
    ("4/4/4/6:V=4,R=6,style=behavioural", "verilator"),
    ("8/8/-/-:V=3,style=behavioural", "icarus"),
    ("4/4/4/-:V=2,acc=12,pipeline=0,style=behavioural@lanes=3,ppu=off", "icarus"),
    ("3/3U/2/2:V=2,acc=8,style=behavioural@lanes=4,weight_depth=8,activation_depth=32,reuse=4", "icarus"),
]
# With so many commands every coverage point closes.
CLOSED, COMMANDS = (
    "4/4U/4/4:V=2,acc=17,pipeline=3,style=behavioural@lanes=4,weight_depth=8,activation_depth=32,reuse=2",
    120,
)
PLANTED = PeConfig.parse("4/4/4/6:V=2,style=behavioural@lanes=4")


def simulate(folder, config, simulator, beats, verilog=None):
    job = Job(config=config.full_name, simulator=simulator, seed=7, beats=beats, verilog=verilog, waves=False)
    [(_, result)] = run_jobs([job], folder, workers=1)
    return result


@pytest.mark.slow
@pytest.mark.parametrize(("text", "simulator"), CHOSEN)
def test_random_commands(text, simulator, require_tool, tmp_path):
    require_tool(simulator)
    result = simulate(tmp_path, PeConfig.parse(text), simulator, 40)
    assert result.passed, result
    assert [outcome.name for outcome in result.outcomes] == [*RANDOM_TESTS, "closure", "coverage"]
    assert result.counts["illegal"] > 2
    assert result.counts["results"] > 200


def test_every_coverage_point_closes(require_tool, tmp_path):
    require_tool("icarus")
    result = simulate(tmp_path, PeConfig.parse(CLOSED), "icarus", COMMANDS)
    assert result.passed, result
    assert result.coverage.keys() == {point.name for point in ENVIRONMENTS["pe"].points}
    assert missing(result.coverage) == {}


def floor_scale(monkeypatch):
    """The output scale is that of a maximum one less."""
    sound = requantize.ceil_quotient

    def unsound(m, value, most, bits):
        return sound(m, Mux(value == 0, 0, value - 1)[: len(value)], most, bits)

    monkeypatch.setattr(requantize, "ceil_quotient", unsound)


def last_digit_lost(monkeypatch):
    """The division's last digit is 0."""
    sound = recurrence._step

    def unsound(m, rest, scale, step):
        rest, digit = sound(m, rest, scale, step)
        return rest, digit if step else Const(0, 1)

    monkeypatch.setattr(recurrence, "_step", unsound)


def relu_ignored(monkeypatch):
    """Negative values pass the ReLU."""
    sound = ppu.Rescale._saturate
    monkeypatch.setattr(ppu.Rescale, "_saturate", lambda self, m, value, relu, z: sound(self, m, value, Const(0, 1), z))


def accumulators_run_on(monkeypatch):
    """Beside a waiting vector the accumulator's fields show what the lanes do meanwhile."""
    sound = control.Mux
    monkeypatch.setattr(
        control, "Mux", lambda test, one, other: one if isinstance(other, int) else sound(test, one, other)
    )


@pytest.mark.parametrize(
    ("plant", "message"),
    [
        (floor_scale, "is wrong"),
        (last_digit_lost, "is wrong"),
        (relu_ignored, "is wrong"),
        (accumulators_run_on, "was offered, not taken, and became"),
    ],
)
def test_planted_defects_are_found(plant, message, monkeypatch, require_tool, tmp_path):
    require_tool("icarus")
    plant(monkeypatch)
    result = simulate(tmp_path / "job", PLANTED, "icarus", 30, design(PLANTED).verilog(TOP))
    assert any(message in outcome.failure for outcome in result.outcomes), result


def ties_go_up(monkeypatch):
    """Quotients halfway between two values become the larger one."""
    sound = encode.ties_below
    monkeypatch.setattr(encode, "ties_below", lambda m, number, *rest: sound(m, number | 1, *rest))


def remainders_are_lost(monkeypatch):
    """Quotients just above a tie count as the tie."""
    sound = encode.ties_below
    monkeypatch.setattr(encode, "ties_below", lambda m, number, *rest: sound(m, Cat(Const(0, 1), number[1:]), *rest))


def hidden_one_at_exponent_0(monkeypatch):
    """Subnormal scales have the hidden 1 of normal ones where elements are divided by them."""
    sound = encode.scale_decoder

    def unsound(fmt):
        parts = sound(fmt).parts

        def normal(m, pattern, name):
            significand, exponent = parts(m, pattern, name)
            return Cat(significand[:-1], Const(1, 1)), exponent

        return SimpleNamespace(parts=normal, shape=sound(fmt).shape)

    monkeypatch.setattr(encode, "scale_decoder", unsound)


def exponent_of_the_maximum_plus_1(monkeypatch):
    """The exponent of a scale is that of the maximum and 1."""
    sound = requantize.floor_log2
    monkeypatch.setattr(requantize, "floor_log2", lambda m, value: sound(m, (value + 1)[: len(value)]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "plant"),
    [
        *(("nvfp4:V=2", plant) for plant in (ties_go_up, remainders_are_lost, hidden_one_at_exponent_0)),
        *(("mxfp4:V=2", plant) for plant in (ties_go_up, remainders_are_lost, exponent_of_the_maximum_plus_1)),
    ],
)
def test_planted_defects_of_the_encoder_are_found(text, plant, monkeypatch, require_tool, tmp_path):
    require_tool("icarus")
    plant(monkeypatch)
    config = PeConfig.parse(f"{text},style=behavioural@lanes=4,weight_depth=4,activation_depth=16")
    result = simulate(tmp_path / "job", config, "icarus", 30, design(config).verilog(TOP))
    assert any("is wrong" in outcome.failure for outcome in result.outcomes), result


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pattern", "replacement", "test"),
    [
        (
            r"(most_entries = .* : )entries;",
            r"\1(entries | 9'h001);",
            "random_traffic",
        ),  # one more than is loaded
        (r"(~\w+) \| \(read & final_\)", r"\1", "full_speed"),  # the next command starts a cycle late
        (r"(multiplied_o__valid) <= 1'b0;", r"\1 <= \1;", "reset_in_flight"),  # post-processing keeps a lane
        (r"(?s)(module \w+_activation_buffer\(.*?complete = )done \| [^;]*;", r"\1done;", "full_speed"),  # a cycle late
        (
            r"= ~rescaled_o__valid \| (rescaled_o__ready);",
            r"= \1;",
            "full_speed",
        ),  # an empty stage of post-processing waits
    ],
)
def test_defects_at_the_edge_of_a_command_are_found(pattern, replacement, test, require_tool, tmp_path):
    require_tool("icarus")
    verilog, count = re.subn(pattern, replacement, design(PLANTED).verilog(TOP))
    assert count == 1
    result = simulate(tmp_path / "job", PLANTED, "icarus", 30, verilog)
    assert test in {outcome.name for outcome in result.outcomes if outcome.failure}, result
