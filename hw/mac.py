"""The vector MAC: dot product, scale path, accumulator and control, wired."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.config import MacConfig, Overflow
from hw.accumulator import Accumulator
from hw.control import Control
from hw.dot import DotProduct
from hw.scale import ScalePath
from hw.stages import THROUGHPUT, latency, scaled
from hw.streams import beat_layout, result_layout


class VectorMac(wiring.Component):
    """Block-scaled vector multiply-accumulate.

    Per vector: ``d = sum_j w[j]*a[j]``; ``r = min(2^R - 1, round(sw*sa / 2^s))``; ``t = d*r``;
    ``acc = policy((0 if first else acc) + t)``; a result leaves after each vector marked ``last``, which does not
    clear the accumulator. After a reset the accumulator starts from 0.

    Parameters
    ----------
    config
        Formats, V, R, rounding, accumulator, pipeline depth D, arithmetic style.

    Members
    -------
    i : In(stream of hw.streams.beat_layout(config))
    o : Out(stream of hw.streams.result_layout(config))

    Attributes
    ----------
    latency
        Cycles from an accepted last vector to its valid result, without back-pressure: D + 1.
    throughput
        Vectors per cycle: 1.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.
    """

    throughput = THROUGHPUT

    def __init__(self, config: MacConfig):
        self.config = config
        self.latency = latency(config)
        self.control = Control(config)
        self.dot = DotProduct(config)
        self.accumulator = Accumulator(config)
        if scaled(config):
            self.scale = ScalePath(config)
        super().__init__(
            {"i": In(stream.Signature(beat_layout(config))), "o": Out(stream.Signature(result_layout(config)))}
        )

    def elaborate(self, platform: object) -> Module:
        """Wire the components."""
        m = Module()
        m.submodules.control = control = self.control
        m.submodules.dot = dot = self.dot
        m.submodules.accumulator = accumulator = self.accumulator
        beat, result = self.i.payload, self.o.payload
        m.d.comb += [
            control.in_valid.eq(self.i.valid),
            self.i.ready.eq(control.in_ready),
            control.first.eq(beat.first),
            control.last.eq(beat.last),
            dot.weights.eq(beat.weights),
            dot.activations.eq(beat.activations),
            accumulator.first.eq(control.acc_first),
            result.acc.eq(accumulator.acc),
            self.o.valid.eq(control.out_valid),
            control.out_ready.eq(self.o.ready),
        ]
        self._enable(m, control, dot, accumulator)
        if self.config.overflow == Overflow.SATURATE:
            m.d.comb += result.overflow.eq(accumulator.overflow)
        if not scaled(self.config):
            m.d.comb += accumulator.t.eq(dot.d)
            return m

        m.submodules.scale = scale = self.scale
        m.d.comb += [
            scale.d.eq(dot.d),
            control.nonzero.eq(scale.nonzero),
            accumulator.t.eq(scale.t),
        ]
        self._enable(m, control, scale)
        for name in ("weight_scale", "activation_scale"):
            if hasattr(scale, name):
                m.d.comb += getattr(scale, name).eq(getattr(beat, name))
        return m

    @staticmethod
    def _enable(m: Module, control: Control, *parts: wiring.Component) -> None:
        """Wire the register enables, which carry one name per pipeline stage everywhere."""
        for part in parts:
            for name in part.signature.members:
                if name.startswith("load"):
                    m.d.comb += getattr(part, name).eq(getattr(control, name))
