"""The MAC in Amaranth's own simulator, against the golden model."""

import random

import pytest
from amaranth.sim import Simulator

from vsq.golden.contract.config import MacConfig
from vsq.golden.model.datapath import mac as golden_mac
from vsq.golden.stimulus.stream import beats
from vsq.hw.mac.top import VectorMac

CONFIGS = [
    "4/4/4/6:V=4",
    "4/4U/4/4:V=3,R=4,round=half_even,overflow=wrap,acc=10,pipeline=3",
    "3/5/2/-:V=2,R=1,acc=9,pipeline=0",
    "8/8/-/-:V=5,acc=17,pipeline=2",
    "2/1U/-/3:V=1,R=2,round=truncate,pipeline=2",
    "1U/1U/1/1:V=1,R=1,acc=2,pipeline=3",
    "8/8U/-/-:V=7,overflow=wrap,pipeline=3",
    "e2m1/e2m1/4/6:V=5,pipeline=3",
    "4/e2m1/4/-:V=3,pipeline=2,narrow=1",
    "e2m1/3U/-/2:V=2,style=behavioural",
    "e2m3/e3m2/4/4:V=3,R=5,pipeline=2",
    "3/e3m2/2/-:V=2",
    "4/e4m3/-/2:V=2,acc=20",
    "e5m2/3/-/-:V=1,style=behavioural",
    "e2m1/e2m1/ue4m3/ue4m3:V=3,pipeline=2",
    "4/4/ue4m3/ue4m3:V=2,R=4,pipeline=0,narrow=1",
    "3/3U/ue4m3/-:V=2,R=2,round=half_even,pipeline=3",
    "3/3/5/ue4m3:V=2,overflow=wrap,acc=20",
    "3U/2U/ue4m3/ue4m3:V=2",
    "2/2/-/ue4m3:V=2,style=behavioural,acc=16",
    "e2m1/e2m1/e8m0/e8m0:V=2,window=16",
    "2/2U/e8m0/ue4m3:V=1,window=12,pipeline=0",
    "3U/2U/ue4m3/5:V=2,R=5,window=20,pipeline=3",
    "3/3U/3/2:V=2,style=lut,pipeline=3",
    "8/8/-/-:V=6,style=carrysave,pipeline=3",
    "4/4U/4/6:V=5,R=6,style=carrysave,overflow=wrap,pipeline=2",
    "e2m1/e4m3/ue4m3/ue4m3:V=2,R=4,style=carrysave,window=40,pipeline=0",
    "3U/2U/ue4m3/-:V=2,R=3,style=lut,pipeline=0",
]
COUNT = 300


def simulate(config, stream, idle, stall, seed=0):
    """Play ``stream`` with the given odds of a pause on either side; return (cycle, acc, flags) of every result."""
    dut = VectorMac(config)
    rng = random.Random(seed)
    results, accepted = [], []
    weights, activations = (
        (codes if fmt.contiguous else fmt.patterns(codes)).tolist()
        for fmt, codes in ((config.weight, stream.weights), (config.activation, stream.activations))
    )

    scales = {
        f"{side}_scale": fmt.patterns(getattr(stream, f"{side}_scales")).tolist()
        for side, fmt in zip(("weight", "activation"), config.scales, strict=True)
        if fmt is not None
    }
    if config.window:
        scales["offset"] = stream.offsets.tolist()

    async def drive(ctx):
        sent = 0
        while sent < len(stream):
            offered = rng.random() >= idle
            ctx.set(dut.i.valid, offered)
            if offered:
                beat = {
                    "weights": weights[sent],
                    "activations": activations[sent],
                    "first": int(stream.first[sent]),
                    "last": int(stream.last[sent]),
                }
                beat |= {name: patterns[sent] for name, patterns in scales.items()}
                ctx.set(dut.i.payload, beat)
                while True:
                    _, _, ready = await ctx.tick().sample(dut.i.ready)
                    if ready:
                        break
                accepted.append(sent)
                sent += 1
            else:
                await ctx.tick()
        ctx.set(dut.i.valid, 0)

    async def collect(ctx):
        expected, cycle = int(stream.last.sum()), 0
        while len(results) < expected:
            ctx.set(dut.o.ready, rng.random() >= stall)
            _, _, valid, ready, payload = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            if valid and ready:
                results.append((cycle, payload.acc, [getattr(payload, flag) for flag in config.flags]))
            cycle += 1
            assert cycle < 20 * len(stream) + 100, "the MAC hangs"

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.add_testbench(collect)
    sim.run()
    assert len(accepted) == len(stream)
    return results


@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.3, 0.4)])
def test_results_equal_golden(text, idle, stall):
    config = MacConfig.parse(text)
    stream = beats(config, COUNT, seed=1)
    expected = golden_mac(config, **vars(stream))
    results = simulate(config, stream, idle, stall)
    assert [acc for _, acc, _ in results] == expected.acc.tolist()
    wanted = zip(*(getattr(expected, flag).tolist() for flag in config.flags), strict=True)
    assert [flags for _, _, flags in results if flags] == [list(flags) for flags in wanted]


@pytest.mark.parametrize("scales", ["4/6", "-/-"])
@pytest.mark.parametrize("pipeline", range(4))
def test_latency_and_throughput(scales, pipeline):
    config = MacConfig.parse(f"4/4/{scales}:V=2,pipeline={pipeline}")
    stream = beats(config, 50, seed=2)
    stream.last[:] = True
    cycles = [cycle for cycle, _, _ in simulate(config, stream, idle=0, stall=0)]
    dut = VectorMac(config)
    assert dut.latency == pipeline + 1
    assert cycles == [dut.latency + i for i in range(50)]
    assert dut.throughput == 1
    Simulator(dut)  # elaborates it: Amaranth warns of components that are not


@pytest.mark.parametrize("pipeline", [1, 2, 3])
def test_datapath_holds_still_when_the_factor_is_zero(pipeline):
    config = MacConfig.parse(f"4/4/4/4:V=2,R=2,pipeline={pipeline}")
    dut = VectorMac(config)
    enables = []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        # The first vector counts, then r = 0 (round(1*1 / 2^6) = 0) for unequal codes, then a vector that counts.
        for index, scale in enumerate([15, 1, 1, 1, 15]):
            ctx.set(
                dut.i.payload,
                {
                    "weights": [index, 7],
                    "activations": [7, 1],
                    "weight_scale": scale,
                    "activation_scale": scale,
                    "first": int(index == 0),
                    "last": int(index == 4),
                },
            )
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(pipeline):
            await ctx.tick()
        assert ctx.get(dut.o.valid) == 1
        assert ctx.get(dut.o.payload.acc) == (0 * 7 + 7) * 3 + (4 * 7 + 7) * 3

    async def watch(ctx):
        async for _, _, *values in ctx.tick().sample(*dut.control.enables):
            enables.append(values)

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.add_process(watch)
    sim.run()
    for stage in range(pipeline + 1):
        fired = [values[stage] for values in enables]
        assert fired[stage : stage + 5] == [1, 0, 0, 0, 1], f"stage {stage}"
