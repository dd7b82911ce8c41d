"""The configuration of one vector MAC: what the generator, the golden model, the benches and synthesis agree on.

Only the contract stands here: formats, port widths, rounding and overflow names. ``hw`` and ``golden`` derive their
internal widths separately, so that one mistake cannot hide in both.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import check_options, option, read_options, spell_options
from vsq.golden.contract.rounding import Rounding, round_shift
from vsq.golden.formats.base import Format
from vsq.golden.formats.integer import IntFormat
from vsq.golden.formats.spelling import element_format, scale_format

__all__ = ["Arithmetic", "Format", "IntFormat", "MacConfig", "Overflow", "Rounding", "Target"]

MAX_VECTOR_SIZE = 256
MAX_ACCUMULATOR_BITS = 96
MAX_PIPELINE = 3
DEFAULT_MAX_VECTORS = 256


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
        weight, activation: Element formats: integers of 1 bit (unsigned) or 2 to 16 bits, or one of
            :data:`vsq.golden.formats.spelling.NAMED`.
        weight_scale, activation_scale: Unsigned scale formats of 1 to 16 bits, or None for no per-vector scale on that
            side (it contributes 1).
        vector_size: Elements per vector, V: 1 to 256.
        scale_product_bits: Bits R to which the scale product is rounded, 1 to ws+as; None keeps the full product.
        rounding: Rounding mode of the scale product.
        accumulator_bits: Accumulator width P, 2 to 96 (two's complement). None takes the exact bound for
            ``max_vectors``.
        max_vectors: Vectors accumulated per result, for which the default P cannot overflow; None means 256. Give this
            or ``accumulator_bits``, not both.
        overflow: What the accumulator does beyond P bits.
        narrow: Whether signed elements never have the code -2^(bits-1), as in everything that a quantizer produces. The
            hardware may be smaller then; golden model and benches refuse that code.
        pipeline: Register stages before the accumulator, 0 to 3.
        arithmetic: Style of the generated arithmetic.
        target: What the hardware is built from; ``auto`` arithmetic follows it.

    Raises:
        InputError: If a value is out of range or two of them contradict each other.
    """

    kind: ClassVar[str] = "mac"
    lane_count: ClassVar[int] = 1

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
        for side, scale in (("weight", self.weight_scale), ("activation", self.activation_scale)):
            if scale is not None and scale.signed:
                raise InputError(f"{side} scale {scale}: scales are unsigned; give an unsigned format")
        if self.scale_product_bits is not None:
            if self.full_product_bits == 0:
                raise InputError(
                    f"R = {self.scale_product_bits}: {self} has no scale product to round; leave R out or add a scale"
                )
            if self.scale_product_bits > self.full_product_bits:
                raise InputError(
                    f"R = {self.scale_product_bits}: {self} has a scale product of {self.full_product_bits} bits; "
                    "give no more, or leave R out"
                )
            if self.scale_factor_max == 0:
                raise InputError(
                    f"R = {self.scale_product_bits}, {self.rounding}: every scale product of {self} becomes 0; "
                    "choose more bits or another rounding"
                )
        if self.accumulator_bits is not None:
            if self.max_vectors is not None:
                raise InputError(
                    f"{self}: acc = {self.accumulator_bits} and max_vectors = {self.max_vectors} both set the "
                    "accumulator's width; give one of them"
                )
        elif self.acc_bits > MAX_ACCUMULATOR_BITS:
            raise InputError(
                f"max_vectors {self.max_vectors}: the accumulator would need {self.acc_bits} bits and "
                f"{MAX_ACCUMULATOR_BITS} is the limit; accumulate fewer vectors or give accumulator bits"
            )

    @property
    def mac(self) -> "MacConfig":
        """The vector MAC, which is this one; a processing element has one too."""
        return self

    def with_mac(self, mac: "MacConfig") -> "MacConfig":
        """Return the configuration with another vector MAC, which is that one."""
        return mac

    # Text form ------------------------------------------------------------------------------------------------

    @classmethod
    def parse(cls, text: str, **options: Any) -> "MacConfig":
        """Read ``W/A/ws/as``, optionally followed by options: ``4/4U/4/6:V=24,R=6,round=half_even``.

        ``options`` are constructor arguments by name; they win over options in the text. None leaves them alone.

        Raises:
            InputError: If the text is malformed or a value is out of range; the message names the part.
        """
        spec, _, tail = text.strip().partition(":")
        parts = spec.split("/")
        if len(parts) != 4:
            raise InputError(
                f"{text!r}: a configuration is W/A/ws/as, four parts; write for example 4/4U/4/6 or 8/8/-/-"
            )
        values: dict[str, Any] = {}
        for name, part, read in zip(
            ("weight", "activation", "weight_scale", "activation_scale"),
            parts,
            (element_format, element_format, scale_format, scale_format),
            strict=True,
        ):
            try:
                values[name] = read(part)
            except InputError as error:
                raise InputError(f"{text!r}, {name.replace('_', ' ')}: {error}") from None
        values |= read_options(cls, tail, text)
        values.update((name, value) for name, value in options.items() if value is not None)
        return cls(**values)

    def __str__(self) -> str:
        """``W/A/ws/as``, as in the paper."""
        scales = (str(s.bits) if s else "-" for s in (self.weight_scale, self.activation_scale))
        return "/".join([str(self.weight), str(self.activation), *scales])

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
        options = self.full_name.partition(":")[2]
        tail += [
            re.sub(r"\W", "", item.replace("=", "" if item[0] in "VR" else "_")).lower()
            for item in options.split(",")
            if item
        ]
        return "_".join([spec, *tail])

    # Contract widths ------------------------------------------------------------------------------------------

    @property
    def full_product_bits(self) -> int:
        """Bits of the exact scale product, ws+as; 0 without scales. Proof: (2^a-1)(2^b-1) < 2^(a+b)."""
        return sum(scale.bits for scale in (self.weight_scale, self.activation_scale) if scale)

    @property
    def scale_shift(self) -> int:
        """The shift s of the scale product: a result stands for ``acc * 2^s * gamma_w * gamma_a``."""
        if self.scale_product_bits is None:
            return 0
        return self.full_product_bits - self.scale_product_bits

    @property
    def scale_factor_max(self) -> int:
        """Largest scale factor r, exact because rounding is monotonic: min(2^R - 1, round(p_max / 2^s))."""
        p_max = 1
        for scale in (self.weight_scale, self.activation_scale):
            p_max *= scale.max if scale else 1
        if self.scale_product_bits is None:
            return p_max
        return min((1 << self.scale_product_bits) - 1, int(round_shift(p_max, self.scale_shift, self.rounding)))

    @property
    def term_range(self) -> tuple[int, int]:
        """Exact range of one term t = d*r: extreme products of the element formats, times V, times the largest r."""
        products = [
            w * a for w in (self.weight.min, self.weight.max) for a in (self.activation.min, self.activation.max)
        ]
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
