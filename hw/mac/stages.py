"""The pipeline: where the register stages of a depth stand, what they cost in cycles, and the register itself."""

from amaranth.hdl import Module, Shape, Signal, Value

from vsq.golden.contract.config import MacConfig

THROUGHPUT = 1  # vectors per cycle at every depth


def latency(config: MacConfig) -> int:
    """Cycles from an accepted last vector to its valid result, without back-pressure: D stages and the accumulator."""
    return config.pipeline + 1


def scaled(config: MacConfig) -> bool:
    """Whether the MAC has a scale path at all."""
    return bool(config.weight_scale or config.activation_scale)


def dot_stages(config: MacConfig) -> int:
    """Register stages on the dot product (and beside it on the scale factor r).

    ========  =====================  ====================
    pipeline  with a scale path      without
    ========  =====================  ====================
    0         none                   none
    1         d                      d
    2         d, t                   tree, d
    3         tree, d, t             tree, tree, d
    ========  =====================  ====================
    """
    return config.pipeline - term_stages(config)


def term_stages(config: MacConfig) -> int:
    """Register stages on the term t = d*r, which come last: one from depth 2 on, if there is a scale path."""
    return int(scaled(config) and config.pipeline >= 2)


def register(m: Module, value: Value, load: Value, name: str) -> Signal:
    """Return ``value`` registered when ``load`` is high. Data registers have no reset: validity travels apart."""
    q = Signal(Shape.cast(value.shape()), name=name, reset_less=True)
    with m.If(load):
        m.d.sync += q.eq(value)
    return q


def drive_whole(m: Module, port: Value, value: Value) -> None:
    """Drive a component's output of the same width by two assignments.

    Amaranth would make a port of its own for each cell that bits of the value come from; this keeps it one port.
    """
    assert len(port) == len(value)
    m.d.comb += [port[:1].eq(value[:1]), port[1:].eq(value[1:])]
