"""The configuration of one vector MAC: what the generator, the golden model, the benches and synthesis agree on.

``hw`` and ``golden`` derive their internal widths separately, so that one mistake cannot hide in both.
"""

import difflib
import re
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import Any, ClassVar

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import check_options, option, read_options, spell_options
from vsq.golden.formats.elements import Format, IntFormat, element_format, scale_format

MAX_VECTOR_SIZE = 256
MAX_ACCUMULATOR_BITS = 96
MAX_PIPELINE = 3
DEFAULT_MAX_VECTORS = 256

_PARTS = ("weight", "activation", "weight_scale", "activation_scale")

# name -> (configuration, what it stands for)
PRESETS: dict[str, tuple[str, str]] = {
    "baseline": ("8/8/-/-", "the 8-bit per-channel baseline of every ratio"),
    "baseline-u": ("8/8U/-/-", "the 8-bit baseline for activations after ReLU"),
    "headline": ("4/4/4/6", "VS-Quant's headline point: area 0.63, energy 0.76 of the baseline's PE"),
    "headline-u": ("4/4U/4/6", "the headline point for activations after ReLU"),
    "square-u": ("4/4U/4/4:R=6", "4-bit everything, scale product rounded to 6 bits"),
    "language": ("4/8/6/10:R=8", "4-bit weights and 8-bit activations for language models"),
    "six": ("6/6/4/4", "6-bit elements"),
    "three-u": ("3/3U/4/4:R=4", "3-bit elements, scale product rounded to 4 bits"),
    "weight-scaled": ("8/8/6/-", "per-vector scales on the weights only"),
    "activation-scaled": ("6/8/-/10", "per-vector scales on the activations only"),
    "odd": ("5/7/3/9:V=24,R=6,round=half_even", "a vector size and bitwidths that are no powers of two"),
    "wide": ("16/16/16/16:V=3", "the widest elements and scales"),
    "silicon": ("4/4/8/8:V=64,R=8,acc=24", "the INT4 mode of the 5 nm chip of Keller et al., JSSC 58(4), 2023"),
}


class Rounding(StrEnum):
    """The rounding that drops the scale product's low bits: round(p / 2^s)."""

    HALF_UP = "half_up"  # ties towards +infinity: floor(x + 1/2)
    HALF_EVEN = "half_even"  # ties to the even neighbour
    TRUNCATE = "truncate"  # floor


def round_shift(values: Any, shift: int, mode: Rounding) -> Any:
    """Return round(values / 2^shift) of a Python integer, or of an array of integers, of either sign."""
    floor = values >> shift
    if shift == 0 or mode == Rounding.TRUNCATE:
        return floor
    half = 1 << (shift - 1)
    least = half if mode == Rounding.HALF_UP else half + 1 - (floor & 1)
    return floor + (values - (floor << shift) >= least)


class Overflow(StrEnum):
    """The accumulator's behaviour beyond its bits: clamp (with a sticky flag), or drop the high bits."""

    SATURATE = "saturate"
    WRAP = "wrap"


class Arithmetic(StrEnum):
    """The arithmetic style of the generated hardware."""

    AUTO = "auto"  # bit heaps, or the operators where the target has its own adders and multipliers
    BEHAVIOURAL = "behavioural"
    BITHEAP = "bitheap"


class Target(StrEnum):
    """The technology of the hardware: standard cells, or an FPGA's lookup tables, carry chains and DSP blocks."""

    ASIC = "asic"
    FPGA = "fpga"


@dataclass(frozen=True, kw_only=True)
class MacConfig:
    """One vector MAC: ``acc = (0 if first else acc) + (sum_j w[j]*a[j]) * round(sw*sa / 2^s)``.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.

    Args:
        weight, activation: Element formats: integers, or one of :data:`vsq.golden.formats.elements.NAMED`.
        weight_scale, activation_scale: Unsigned scale formats; None for no per-vector scale on that side, which
            contributes 1.
        vector_size: Elements per vector, V: 1 to 256.
        scale_product_bits: Bits R of the rounded scale product, 1 to ws+as; None keeps the full product.
        rounding: Rounding mode of the scale product.
        accumulator_bits: Accumulator width P, 2 to 96 (two's complement). None takes the exact bound for
            ``max_vectors``, which is 256 if None; give at most one of the two.
        overflow: What the accumulator does beyond P bits.
        narrow: Whether signed elements never have the code -2^(bits-1); golden model and benches then refuse it.
        pipeline: Register stages before the accumulator, 0 to 3.
        arithmetic, target: Style of the generated arithmetic, and what it is built from; ``auto`` style follows that.

    Raises:
        InputError: If a value is out of range or two of them contradict each other.
    """

    kind: ClassVar[str] = "mac"
    lanes: ClassVar[int] = 1

    weight: Format
    activation: Format
    weight_scale: IntFormat | None = None
    activation_scale: IntFormat | None = None
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
    overflow: Overflow = option(
        Overflow.SATURATE, "what the accumulator does beyond P bits; `saturate` has a sticky flag"
    )
    narrow: bool = option(
        False, "assume that signed codes never equal -2^(bits-1): smaller hardware, and what quantizers produce"
    )
    pipeline: int = option(1, "register stages before the accumulator", symbol="D", low=0, high=MAX_PIPELINE)
    arithmetic: Arithmetic = option(
        Arithmetic.AUTO,
        "style of the arithmetic: compressor trees, or `*` and `+`",
        key="style",
        tried=(Arithmetic.BITHEAP, Arithmetic.BEHAVIOURAL),
    )
    target: Target = option(
        Target.ASIC, "what `auto` style follows: bit heaps for standard cells, operators for FPGAs", tried=()
    )

    def __post_init__(self) -> None:
        check_options(self)
        for side in ("weight", "activation"):
            object.__setattr__(self, side, getattr(self, side).with_narrow(self.narrow))
            scale = getattr(self, f"{side}_scale")
            if scale is not None and scale.signed:
                raise InputError(f"{side} scale {scale}: scales are unsigned; give an unsigned format")
        if (bits := self.scale_product_bits) is not None:
            full = self.full_product_bits
            if full == 0:
                raise InputError(f"R = {bits}: {self} has no scale product to round; leave R out or add a scale")
            if bits > full:
                raise InputError(f"R = {bits}: {self} has a scale product of {full} bits; give no more, or leave R out")
            if self.scale_factor_max == 0:
                rule = f"every scale product of {self} becomes 0; choose more bits or another rounding"
                raise InputError(f"R = {bits}, {self.rounding}: {rule}")
        if self.accumulator_bits is not None and self.max_vectors is not None:
            both = f"acc = {self.accumulator_bits} and max_vectors = {self.max_vectors}"
            raise InputError(f"{self}: {both} both set the accumulator's width; give one of them")
        if self.acc_bits > MAX_ACCUMULATOR_BITS:
            need = f"the accumulator would need {self.acc_bits} bits and {MAX_ACCUMULATOR_BITS} is the limit"
            remedy = "accumulate fewer vectors or give accumulator bits"
            raise InputError(f"max_vectors {self.max_vectors}: {need}; {remedy}")

    @property
    def scales(self) -> tuple[IntFormat | None, IntFormat | None]:
        """The scale formats of weights and activations."""
        return self.weight_scale, self.activation_scale

    @property
    def mac(self) -> "MacConfig":
        """The vector MAC, which is this one; a processing element has one too."""
        return self

    @classmethod
    def parse(cls, text: str, **options: Any) -> "MacConfig":
        """Read a preset, or ``W/A/ws/as``, optionally followed by options: ``4/4U/4/6:V=24,R=6,round=half_even``.

        ``options`` are constructor arguments by name; they win over options in the text. None leaves them alone.

        Raises:
            InputError: If the text is malformed or a value is out of range; the message names the part.
        """
        if text in PRESETS:
            text = PRESETS[text][0]
        elif "/" not in text:
            near = difflib.get_close_matches(text, PRESETS, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "'vsq presets' lists them"
            raise InputError(f"{text!r}: neither a preset nor a configuration W/A/ws/as; {hint}")
        spec, _, tail = text.strip().partition(":")
        parts = spec.split("/")
        if len(parts) != len(_PARTS):
            rule = "a configuration is W/A/ws/as, four parts; write for example 4/4U/4/6 or 8/8/-/-"
            raise InputError(f"{text!r}: {rule}")
        values: dict[str, Any] = {}
        for name, part in zip(_PARTS, parts, strict=True):
            try:
                values[name] = scale_format(part) if name.endswith("scale") else element_format(part)
            except InputError as error:
                raise InputError(f"{text!r}, {name.replace('_', ' ')}: {error}") from None
        given = {name: value for name, value in options.items() if value is not None}
        return cls(**{**values, **read_options(cls, tail, text), **given})

    def __str__(self) -> str:
        """``W/A/ws/as``, as in the paper."""
        return "/".join([str(self.weight), str(self.activation), *(str(s.bits) if s else "-" for s in self.scales)])

    @property
    def full_name(self) -> str:
        """``W/A/ws/as:V=…`` with every option that is not at its default; :meth:`parse` reads it back."""
        tail = spell_options(self)
        return f"{self}:{tail}" if tail else str(self)

    @property
    def slug(self) -> str:
        """The full name as an identifier, for files and Verilog modules: ``w4_a4u_ws4_as6_v16_…``."""
        spec = "w{}_a{}_ws{}_as{}".format(*str(self).lower().replace("-", "0").split("/"))
        tail = [] if "V=" in self.full_name else [f"v{self.vector_size}"]
        for item in filter(None, self.full_name.partition(":")[2].split(",")):
            tail.append(re.sub(r"\W", "", item.replace("=", "" if item[0] in "VR" else "_")).lower())
        return "_".join([spec, *tail])

    @property
    def full_product_bits(self) -> int:
        """Bits of the exact scale product, ws+as; 0 without scales. Proof: (2^a-1)(2^b-1) < 2^(a+b)."""
        return sum(scale.bits for scale in self.scales if scale)

    @property
    def scale_shift(self) -> int:
        """The shift s of the scale product: a result stands for ``acc * 2^s * gamma_w * gamma_a``."""
        return 0 if self.scale_product_bits is None else self.full_product_bits - self.scale_product_bits

    @property
    def scale_factor_max(self) -> int:
        """Largest scale factor r, exact because rounding is monotonic: min(2^R - 1, round(p_max / 2^s))."""
        p_max = prod(scale.max for scale in self.scales if scale)
        if self.scale_product_bits is None:
            return p_max
        return min((1 << self.scale_product_bits) - 1, int(round_shift(p_max, self.scale_shift, self.rounding)))

    @property
    def term_range(self) -> tuple[int, int]:
        """Exact range of one term t = d*r: extreme products of the element formats, times V, times the largest r."""
        weights, activations = ((fmt.min, fmt.max) for fmt in (self.weight, self.activation))
        products = [w * a for w in weights for a in activations]
        most = self.vector_size * self.scale_factor_max
        return min(0, *products) * most, max(0, *products) * most

    @property
    def acc_bits(self) -> int:
        """Accumulator width P: as given, or the least that holds ``max_vectors`` extreme terms of either sign."""
        if self.accumulator_bits is not None:
            return self.accumulator_bits
        low, high = self.term_range
        vectors = self.max_vectors or DEFAULT_MAX_VECTORS
        return 1 + max((-low * vectors - 1).bit_length() if low else 0, (high * vectors).bit_length())
