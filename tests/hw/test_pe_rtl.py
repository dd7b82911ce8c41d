"""The processing element in Amaranth's own simulator, against the golden model."""

import random
from itertools import pairwise

import numpy as np
import pytest
from amaranth.sim import Simulator

from vsq.golden.contract.pe_config import PeConfig
from vsq.golden.model.pe import Command
from vsq.golden.stimulus.commands import commands, repeated, result_beats
from vsq.hw.pe.top import ProcessingElement
from vsq.tb.interface.pace import first_results

CONFIGS = [
    "4/4/4/6:V=4,R=6,style=behavioural",
    "4/4U/4/4:V=2,pipeline=0,style=behavioural@lanes=4",
    "8/8/-/-:V=3,pipeline=2,style=behavioural@lanes=3,weight_depth=4,activation_depth=8",
    "2/2/1/2:V=1,pipeline=3,style=behavioural@lanes=1,weight_depth=1,activation_depth=1,multiplier_bits=3",
    "4/8/6/10:V=2,acc=22,style=behavioural@weight_depth=2,activation_depth=16",
    "4/4/4/-:V=2,style=behavioural@lanes=3,ppu=off",
    "nvfp4:V=2,style=behavioural@lanes=4",
    "4/6U/3/4:V=4,style=carrysave,pipeline=2@lanes=4,reuse=2",
    "4/4U/3/4:V=2,pipeline=0,style=behavioural@lanes=4,reuse=2",
    "e2m1/e2m1/e8m0/e8m0:V=2,window=16,style=behavioural@weight_depth=2,activation_depth=8,reuse=2",
]


def words(config, streams):
    """Beats of the input streams by name, as payloads."""
    out = {"command": [{name: int(getattr(c, name)) for name in payload_fields(config)} for c in streams.commands]}
    mac = config.mac
    for name, (codes, scales), element, scale in (
        ("weights", streams.weights, mac.weight, mac.weight_scale),
        ("activations", streams.activations, mac.activation, mac.activation_scale),
    ):
        out[name] = [{"codes": row} for row in payload(element, codes)]
        for beat, word in zip(out[name], payload(scale, scales) if scale else [], strict=scale is not None):
            beat["scale"] = word
    if config.ppu:
        p = streams.params
        columns = (p.multiplier, p.shift, p.bias)
        out["lane_params"] = [
            {"multiplier": m, "shift": s, "bias": b} for m, s, b in zip(*(c.tolist() for c in columns), strict=True)
        ]
    return out


def payload(fmt, values):
    """Values as a port takes them: integers as they are, floats as bit patterns."""
    return (values if fmt.contiguous else fmt.encode(values)).tolist()


def payload_fields(config):
    return [*config.command_numbers, *config.command_marks]


def simulate(config, streams, expected, idle, stall, seed=0):
    """Play the streams with the given odds of a pause; compare every result; return their cycles."""
    dut = ProcessingElement(config)
    cycles = []
    formats = {"codes": config.mac.activation, "scale": config.mac.activation_scale}

    def driver(name, beats, rng):
        port = getattr(dut, name)

        async def drive(ctx):
            for beat in beats:
                while rng.random() < idle:
                    ctx.set(port.valid, 0)
                    await ctx.tick()
                ctx.set(port.payload, beat)
                ctx.set(port.valid, 1)
                await ctx.tick().until(port.ready)
            ctx.set(port.valid, 0)

        return drive

    async def collect(ctx):
        rng = random.Random(seed)
        cycle = 0
        for number, beat in enumerate(expected):
            while True:
                ctx.set(dut.result.ready, rng.random() >= stall)
                _, _, valid, ready, got = await ctx.tick().sample(
                    dut.result.valid, dut.result.ready, dut.result.payload
                )
                cycle += 1
                assert cycle < 30000, f"the element hangs before result {number}"
                if valid and ready:
                    break
            cycles.append(cycle)
            for name, value in beat.items():
                if name in got.shape().members:
                    field = got[name]
                    field = [int(code) for code in field] if name == "codes" else int(field)
                    value = payload(formats[name], np.array(value)) if name in formats else value
                    assert field == value, f"result {number}: {name} is {field}, not {value}"
        for _ in range(50):
            ctx.set(dut.result.ready, 1)
            _, _, valid = await ctx.tick().sample(dut.result.valid)
            assert not valid, "a result too many"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    for number, (name, beats) in enumerate(words(config, streams).items()):
        sim.add_testbench(driver(name, beats, random.Random(f"{seed} {number}")), background=True)
    sim.add_testbench(collect)
    sim.run()
    return cycles


@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.3, 0.4)])
def test_results_equal_golden(text, idle, stall):
    config = PeConfig.parse(text)
    streams, results = commands(config, 30, seed=6)
    assert any(result.illegal for result in results)
    simulate(config, streams, list(result_beats(results)), idle, stall)


@pytest.mark.parametrize("text", ["4/4/4/6:V=2,pipeline=0@lanes=2", "8/8/-/-:V=1,pipeline=3@lanes=3"])
@pytest.mark.parametrize("vectors", [1, 4])
def test_latency_and_pace(text, vectors):
    config = PeConfig.parse(f"{text},weight_depth=16,activation_depth=64")
    lanes, count = config.lanes, 6
    command = Command(rows=8, vectors=vectors)
    streams, results = repeated(config, command, count, seed=1)
    cycles = simulate(config, streams, list(result_beats(results)), idle=0, stall=0)
    beats = 8 * lanes
    loads = max(lanes * vectors, 8 * vectors)
    # The command is accepted in cycle 1.
    assert cycles[0] == 1 + loads + vectors + config.mac.pipeline + 3
    period = max(loads, beats)
    assert [after - before for before, after in pairwise(cycles[2 * beats :: beats])] == [period] * (count - 3)


@pytest.mark.parametrize("reuse", [1, 2, 4])
@pytest.mark.parametrize(("rows", "vectors"), [(7, 4), (6, 1), (9, 6), (11, 3)])
def test_cycles_of_a_lone_command(reuse, rows, vectors):
    config = PeConfig.parse(f"3/3/-/-:V=1,pipeline=2@lanes=3,ppu=off,weight_depth=8,activation_depth=64,reuse={reuse}")
    streams, results = repeated(config, Command(rows=rows, vectors=vectors), 1, seed=reuse)
    cycles = simulate(config, streams, list(result_beats(results)), idle=0, stall=0)
    loads = max(config.lanes * vectors, rows * vectors)
    firsts = first_results(config, rows, vectors, latency=config.mac.pipeline + 1)
    # The command is accepted in cycle 1.
    assert cycles == [loads + first + lane for first in firsts for lane in range(config.lanes)]
