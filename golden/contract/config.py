"""The configuration of one vector MAC: what the generator, the golden model, the benches and synthesis agree on.

``hw`` and ``golden`` derive their internal widths separately, so that one mistake cannot hide in both.
"""

import difflib
import re
from dataclasses import dataclass, replace
from math import prod
from typing import Any, ClassVar

from vsq.golden.contract.choices import Arithmetic as Arithmetic
from vsq.golden.contract.choices import Dsp as Dsp
from vsq.golden.contract.choices import Overflow as Overflow
from vsq.golden.contract.choices import Polarity as Polarity
from vsq.golden.contract.choices import Reset as Reset
from vsq.golden.contract.choices import Rounding as Rounding
from vsq.golden.contract.choices import Target as Target
from vsq.golden.contract.choices import round_shift as round_shift
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.mac_options import DEFAULT_MAX_VECTORS, MAX_ACCUMULATOR_BITS, MacOptions
from vsq.golden.contract.options import check_options, read_options, spell_options
from vsq.golden.contract.presets import FORMATS as FORMATS
from vsq.golden.contract.presets import PRESETS as PRESETS
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import E4M3_TO_224, Format, IntFormat, element_format
from vsq.golden.formats.scales import scale_format, spell_scale

_PARTS = ("weight", "activation", "weight_scale", "activation_scale")


@dataclass(frozen=True, kw_only=True)
class MacConfig(MacOptions):
    """One vector MAC: ``acc = (0 if first else acc) + (sum_j w[j]*a[j]) * round(sw*sa / 2^s)``.

    With a window, each term is multiplied by 2^-offset, of its vector, and rounded down to an integer.

    Its arguments, with their units and defaults, are those of :class:`vsq.golden.contract.mac_options.MacOptions`.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.

    Raises:
        InputError: If a value is out of range or two of them contradict each other.
    """

    kind: ClassVar[str] = "mac"
    lanes: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_options(self)
        if self.reset == Reset.NONE and self.reset_polarity != Polarity.HIGH:
            rule = "a design without reset has no level at which it acts"
            raise InputError(f"reset = none, reset_polarity = {self.reset_polarity}: {rule}; leave one of them out")
        for side in ("weight", "activation"):
            object.__setattr__(self, side, getattr(self, side).with_narrow(self.narrow))
            scale = getattr(self, f"{side}_scale")
            if scale is not None and scale.signed:
                raise InputError(f"{side} scale {scale}: scales are unsigned; give an unsigned format")
        if self.dual_precision:
            self._check_dual_precision()
        if (bits := self.scale_product_bits) is not None:
            full = self.full_product_bits
            if full == 0 and any(self.scales):
                raise InputError(f"R = {bits}: scales of {self} are powers of two, with nothing to round; leave R out")
            if full == 0:
                raise InputError(f"R = {bits}: {self} has no scale product to round; leave R out or add a scale")
            if bits > full:
                raise InputError(f"R = {bits}: {self} has a scale product of {full} bits; give no more, or leave R out")
            if self.scale_factor_max == 0:
                rule = f"every scale product of {self} becomes 0; choose more bits or another rounding"
                raise InputError(f"R = {bits}, {self.rounding}: {rule}")
        if self.dsp != Dsp.NONE and self.style != Arithmetic.LUT:
            raise InputError(f"dsp = {self.dsp}: {self.style} has no such choice; give target=fpga or style=lut too")
        widths = {"acc": self.accumulator_bits, "max_vectors": self.max_vectors, "window": self.window}
        given = [f"{name} = {value}" for name, value in widths.items() if value is not None]
        if len(given) > 1:
            raise InputError(f"{self}: {' and '.join(given[:2])} both set the accumulator's width; give one of them")
        if self.window is not None:
            self._check_window(self.window)
        formats = (self.weight, self.activation, *self.scales)
        if not self.finite and not any(fmt.nans for fmt in formats if fmt):
            raise InputError(f"finite = 0: no format of {self} has infinity or NaN; leave it out")
        if self.narrow and not any(isinstance(side, IntFormat) for side in (self.weight, self.activation)):
            raise InputError(f"narrow = 1: {self} has no integers with a code -2^(bits-1); leave narrow out")
        if not self.finite and self.dual_precision:
            raise InputError(f"finite = 0: {self} in dual precision has no flag for NaN; leave it out")
        if self.has_hardware and self.acc_bits > MAX_ACCUMULATOR_BITS:
            need = f"the accumulator would need {self.acc_bits} bits and {MAX_ACCUMULATOR_BITS} is the limit"
            window = ", or a window" if self.exponent_max else ""
            remedy = f"accumulate fewer vectors or give accumulator bits{window}"
            vectors = self.max_vectors or f"{DEFAULT_MAX_VECTORS} by default"
            raise InputError(f"{self}, max_vectors {vectors}: {need}; {remedy}")

    @property
    def style(self) -> Arithmetic:
        """The arithmetic style: as given, or what suits the target."""
        auto = Arithmetic.BITHEAP if self.target == Target.ASIC else Arithmetic.LUT
        return auto if self.arithmetic == Arithmetic.AUTO else self.arithmetic

    @property
    def scales(self) -> tuple[Format | None, Format | None]:
        """The scale formats of weights and activations."""
        return self.weight_scale, self.activation_scale

    def _check_dual_precision(self) -> None:
        signed = isinstance(self.weight, IntFormat) and self.weight.signed
        if not signed or self.weight.bits > 4 or str(self.weight_scale) != "ue4m3":
            rule = "weights are signed integers of at most 4 bits with scales ue4m3; write 4/e4m3/ue4m3/-:dpq=1"
            raise InputError(f"{self}, dpq = 1: {rule}")
        if (self.activation_scale, self.scale_product_bits, self.window) != (None, None, None):
            rule = "there is no product of scales; leave out R, window and the activations' scale"
            raise InputError(f"{self}, dpq = 1: {rule}")

    @property
    def multiplied(self) -> "MacConfig":
        """The configuration of what multipliers see: itself, or in dual precision that of weights in E4M3."""
        if not self.dual_precision:
            return self
        narrow = self.narrow and isinstance(self.activation, IntFormat)
        return replace(self, weight=E4M3_TO_224, weight_scale=None, dual_precision=False, narrow=narrow)

    def _check_window(self, window: int) -> None:
        if not self.exponent_max:
            raise InputError(f"window = {window}: the scales of {self} have no exponents; give acc = {window} instead")
        if self.overflow == Overflow.WRAP:
            raise InputError(f"window = {window}, overflow = wrap: a window saturates; leave overflow out")
        if window < (least := signed_bits(*self.unshifted_range)):
            rule = (
                f"one term of {self}, V = {self.vector_size} has {least} bits before its shift; give at least {least}"
            )
            raise InputError(f"window = {window}: {rule}")

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of a result's sticky flags: overflow, if the accumulator saturates; inexact, of a window; invalid."""
        there = {
            "overflow": self.overflow == Overflow.SATURATE,
            "inexact": self.window is not None,
            "invalid": not self.finite,
        }
        return tuple(name for name, given in there.items() if given)

    @property
    def has_hardware(self) -> bool:
        """Whether there is a datapath for it: no exact accumulator covers the range of exponents alone."""
        return self.window is not None or not any(isinstance(scale, E8M0) for scale in self.scales)

    def check_hardware(self) -> None:
        """Raise an InputError if there is no hardware of these formats."""
        if not self.has_hardware:
            rule = "an exact accumulator for scales e8m0 would take hundreds of bits"
            raise InputError(f"{self.full_name}: {rule}; give a window, as in window=48")

    @property
    def mac(self) -> "MacConfig":
        """The vector MAC, which is this one; a processing element has one too."""
        return self

    @classmethod
    def parse(cls, text: str, **options: Any) -> "MacConfig":
        """Read a preset, a block format's name, or ``W/A/ws/as``, and options: ``4/4U/4/6:V=24,R=6,round=half_even``.

        Options in the text win over those of a preset, and ``options``, constructor arguments by name, over both; None
        leaves them alone.

        Raises:
            InputError: If the text is malformed or a value is out of range; the message names the part.
        """
        if "@" in text:
            mac = text.partition("@")[0]
            raise InputError(f"{text!r}: it names a processing element, but a vector MAC is needed; write {mac!r}")
        named = PRESETS | FORMATS
        spec, _, tail = text.strip().partition(":")
        spec, _, preset = named[spec][0].partition(":") if spec in named else (spec, "", "")
        if "/" not in spec:
            near = difflib.get_close_matches(text, named, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "'vsq presets' lists them"
            raise InputError(f"{text!r}: neither a preset nor a configuration W/A/ws/as; {hint}")
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
        return cls(**{**values, **read_options(cls, preset, text), **read_options(cls, tail, text), **given})

    def __str__(self) -> str:
        """``W/A/ws/as``, as in the paper."""
        return "/".join([str(self.weight), str(self.activation), *map(spell_scale, self.scales)])

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
        """Bits ws+as of the scales' exact significand product; 0 without scales. Proof: (2^a-1)(2^b-1) < 2^(a+b)."""
        return sum(scale.significand_bits for scale in self.scales if scale)

    @property
    def scale_shift(self) -> int:
        """The shift s of the scale product: a result stands for ``acc * 2^s * gamma_w * gamma_a``."""
        return 0 if self.scale_product_bits is None else self.full_product_bits - self.scale_product_bits

    @property
    def exponent_max(self) -> int:
        """Largest sum of the scales' exponents, 0 without any."""
        return sum(exponent for _, exponent in self._largest_scales)

    @property
    def offset_bits(self) -> int:
        """Width of the offset that each vector brings to a window: up to that of the largest exponent; else 0."""
        return self.exponent_max.bit_length() if self.window else 0

    @property
    def _largest_scales(self) -> list[tuple[int, int]]:
        return [scale.split(scale.max) for scale in self.scales if scale]

    @property
    def scale_factor_max(self) -> int:
        """Largest scale factor r, that of the largest scales.

        Proof: rounding is monotonic; a lower exponent halves r, and of no float does a significand make up for that, as
        the largest one's is more than half of 2^bits.
        """
        product = prod(significand for significand, _ in self._largest_scales)
        return self._rounded(product) << self.exponent_max

    def _rounded(self, product: int) -> int:
        """Return a product of significands as R rounds it."""
        rounded = int(round_shift(product, self.scale_shift, self.rounding))
        return rounded if self.scale_product_bits is None else min((1 << self.scale_product_bits) - 1, rounded)

    @property
    def term_range(self) -> tuple[int, int]:
        """Exact range of one term t = d*r: extreme products of the element formats, times V, times the largest r."""
        return self.multiplied.term_range if self.dual_precision else self._times(self.scale_factor_max)

    @property
    def unshifted_range(self) -> tuple[int, int]:
        """Range of d times the significand of r, before the shift by an exponent."""
        return self._times(
            self._rounded(prod((1 << scale.significand_bits) - 1 or 1 for scale in self.scales if scale))
        )

    def _times(self, factor: int) -> tuple[int, int]:
        weights, activations = ((fmt.min, fmt.max) for fmt in (self.weight, self.activation))
        products = [w * a for w in weights for a in activations]
        return min(0, *products) * self.vector_size * factor, max(0, *products) * self.vector_size * factor

    @property
    def acc_bits(self) -> int:
        """Accumulator width P: as given, or the least that holds ``max_vectors`` extreme terms of either sign.

        Raises:
            InputError: If there is no hardware of these formats.
        """
        self.check_hardware()
        if given := self.accumulator_bits or self.window:
            return given
        vectors = self.max_vectors or DEFAULT_MAX_VECTORS
        return signed_bits(*(end * vectors for end in self.term_range))


def signed_bits(low: int, high: int) -> int:
    """Return the least number of bits in two's complement that hold ``low``, at most 0, and ``high``, at least 0."""
    return 1 + max((-low - 1).bit_length() if low else 0, high.bit_length())
