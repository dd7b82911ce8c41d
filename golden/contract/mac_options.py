"""The options of a vector MAC, each declared once: from here come command line, README's table and covering array."""

from dataclasses import dataclass

from vsq.golden.contract.choices import Arithmetic, Dsp, Overflow, Polarity, Reset, Rounding, Target
from vsq.golden.contract.options import option
from vsq.golden.formats.elements import Format

MAX_VECTOR_SIZE = 256
MAX_ACCUMULATOR_BITS = 96
MAX_PIPELINE = 3
DEFAULT_MAX_VECTORS = 256


@dataclass(frozen=True, kw_only=True)
class MacOptions:
    """Formats and options as given; :class:`vsq.golden.contract.config.MacConfig` has the rules and what follows.

    Args:
        weight, activation: Element formats: integers, or one of :data:`vsq.golden.formats.elements.NAMED`.
        weight_scale, activation_scale: Unsigned scale formats: integers, or one of
            :data:`vsq.golden.formats.scales.NAMED`; None for no per-vector scale on that side, which contributes 1.
        vector_size: Elements per vector, V: 1 to 256.
        scale_product_bits: Bits R of the rounded product of the scales' significands, 1 to ws+as; None keeps the full
            product. An integer's significand is the integer, of ws or as bits; a float's has 1 bit and its mantissa.
        rounding: Rounding mode of the scale product.
        accumulator_bits: Accumulator width P, 2 to 96 (two's complement). None takes the exact bound for
            ``max_vectors``, which is 256 if None; give at most one of the two.
        window: Width P of an accumulator that is a window on the sum: bit 0 weighs 2^offset. Instead of the two above,
            with scales that have exponents, and at least as wide as an unshifted term.
        overflow: What the accumulator does beyond P bits; a window saturates.
        narrow: Whether signed elements never have the code -2^(bits-1); golden model and benches then refuse it.
        dual_precision: Whether multipliers see ``E4M3(w[j] * sw)`` up to 224, and there is no other scale of weights;
            with weights of at most 4 bits and scales ue4m3 (:mod:`vsq.golden.model.dual_precision`).
        finite: Whether codes of infinity and NaN never occur; golden model and benches then refuse them.
        pipeline: Register stages before the accumulator, 0 to 3.
        arithmetic, target: Style of the generated arithmetic, and what it is built from; ``auto`` style follows that.
        reset, reset_polarity, clock_enable, registered_ready: Of the ports, of a processing element too: when and at
            which level the reset acts, whether the clock can be disabled, and whether ``ready`` of input streams is a
            register.
    """

    weight: Format
    activation: Format
    weight_scale: Format | None = None
    activation_scale: Format | None = None
    vector_size: int = option(16, "elements per vector", key="V", symbol="V", high=MAX_VECTOR_SIZE)
    scale_product_bits: int | None = option(
        None, "bits to which the scale product is rounded", key="R", symbol="R", limit="ws+as", rule="full product"
    )
    rounding: Rounding = option(Rounding.HALF_UP, "how the scale product is rounded", key="round")
    accumulator_bits: int | None = option(
        None, "width of the accumulator, P", key="acc", symbol="P", low=2, high=MAX_ACCUMULATOR_BITS, rule="exact bound"
    )
    max_vectors: int | None = option(
        None,
        "vectors per result for which the default P cannot overflow",
        symbol="N",
        high=1 << 40,
        limit="2^40",
        rule=str(DEFAULT_MAX_VECTORS),
    )
    window: int | None = option(
        None,
        "width P of an accumulator whose bit 0 weighs 2^offset: for scales with exponents; `e8m0` needs one",
        symbol="P",
        low=2,
        high=MAX_ACCUMULATOR_BITS,
        rule="none",
    )
    overflow: Overflow = option(
        Overflow.SATURATE, "what the accumulator does beyond P bits; `saturate` has a sticky flag"
    )
    narrow: bool = option(
        False, "assume that signed codes never equal -2^(bits-1): smaller hardware, and what quantizers produce"
    )
    finite: bool = option(
        True, "assume that infinity and NaN never occur; `0` gives the sticky output `invalid`", tried=()
    )
    pipeline: int = option(1, "register stages before the accumulator", symbol="D", low=0, high=MAX_PIPELINE)
    arithmetic: Arithmetic = option(
        Arithmetic.AUTO,
        "style of the arithmetic: compressor trees down to the sum, or to two words that `+` adds (`carrysave`: less "
        "delay), carry chains for FPGAs, or `*` and `+` for review and formal tools",
        key="style",
        tried=(Arithmetic.BITHEAP, Arithmetic.CARRYSAVE, Arithmetic.BEHAVIOURAL, Arithmetic.LUT),
    )
    target: Target = option(
        Target.ASIC,
        "what `auto` style follows: `bitheap` for standard cells, `lut` for FPGAs, of cells of its own for `ecp5`",
        tried=(),
    )
    dsp: Dsp = option(Dsp.NONE, "products of the style `lut` that DSP blocks may take", tried=())
    reset: Reset = option(
        Reset.SYNC, "when the reset acts: at a clock edge, at once, or never, with values at power-up", tried=()
    )
    reset_polarity: Polarity = option(
        Polarity.HIGH,
        "level at which the reset acts; `low` renames it `rst_n`, or clock and reset of AXI4-Stream "
        "ports `aclk` and `aresetn`",
        tried=(),
    )
    clock_enable: bool = option(
        False, "a port `clk_en`, or `aclken`, without which a clock edge changes nothing but for a reset", tried=()
    )
    dual_precision: bool = option(
        False, "weights times their scale are rounded to E4M3, and multiplied as such", key="dpq", tried=()
    )
    registered_ready: bool = option(
        False, "`ready` of input streams comes from a register: a place more for a waiting beat", tried=()
    )
