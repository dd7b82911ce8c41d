"""The configuration of a processing element, which :mod:`vsq.golden.model.pe` describes, and of either design."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import check_options, declared, option, read_options, spell_options
from vsq.golden.formats.e8m0 import E8M0
from vsq.golden.formats.elements import Minifloat
from vsq.golden.formats.scales import spell_scale

MAX_LANES = 64
MAX_DEPTH = 1 << 16
MAX_REUSE = 8
_POWERS_BITS = 24  # of z beside powers of two
_MOST_BITS = 50  # of z: float64 decides its quotients exactly (:mod:`vsq.golden.model.ppu`)


@dataclass(frozen=True, kw_only=True)
class PeConfig:
    """One processing element: L vector MACs that share the activation vector.

    Source: VS-Quant (Dai et al., MLSys 2021), section 5 and figure 2.

    Args:
        mac: The vector MAC of every lane. Outputs have its activation formats, so that they are the next layer's
            inputs. Unless it says otherwise, its accumulator holds as many vectors as the weight buffer, and cannot
            overflow.
        lanes: Output channels computed side by side, L: 1 to 64; None takes V. With post-processing a multiple of V,
            because V neighbouring lanes share one output scale.
        weight_depth, activation_depth: Entries of one bank of either buffer, powers of two to 65,536: the most vectors
            of one accumulation, and the most rows * vectors of a command.
        ppu: Whether there is a post-processing unit; without it all outputs are accumulators.
        multiplier_bits: Width of the unsigned output multipliers, 1 to 32.
        reuse: Rows that share a read of the weight buffer, b: 1, 2, 4 or 8; each lane has as many accumulators.

    Raises:
        InputError: If a value is out of range or two of them contradict each other.
    """

    kind: ClassVar[str] = "pe"

    mac: MacConfig
    lanes: int = option(None, "output channels computed side by side, L", high=MAX_LANES, rule="V")
    weight_depth: int = option(32, "entries of a bank of weights, a power of two", high=MAX_DEPTH)
    activation_depth: int = option(256, "entries of a bank of activations, a power of two", high=MAX_DEPTH)
    ppu: bool = option(True, "post-processing unit", words=("off", "on"))
    multiplier_bits: int = option(12, "width of the unsigned output multipliers", high=32)
    reuse: int = option(
        1, "rows that share a read of the weight buffer, b: 1, 2, 4 or 8", high=MAX_REUSE, tried=(1, 2, 4, 8)
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", self.mac.vector_size if self.lanes is None else self.lanes)
        check_options(self)
        for name in ("weight_depth", "activation_depth"):
            depth = getattr(self, name)
            if depth & (depth - 1):
                raise InputError(f"{name} = {depth}: banks are powers of two; give {1 << depth.bit_length()}")
        if self.reuse & (self.reuse - 1):
            raise InputError(f"reuse = {self.reuse}: must be a power of two; give {1 << self.reuse.bit_length()}")
        if not self.mac.finite:
            raise InputError("finite = 0: results of a processing element have no flag for NaN; leave it out")
        if (self.mac.accumulator_bits, self.mac.max_vectors, self.mac.window) == (None, None, None):
            object.__setattr__(self, "mac", replace(self.mac, max_vectors=self.weight_depth))
        if self.ppu and not (self.mac.activation.contiguous or self.floats or self.powers):
            scale = self.mac.activation_scale
            given = f"with scales {spell_scale(scale)}" if scale else "without scales"
            rule = f"post-processing makes them with scales ue4m3, ue5m3 or e8m0, not {given}"
            raise InputError(f"{self.mac.activation} activations: {rule}; give ppu=off, those scales or integers")
        if self.ppu and (bits := self.z_range[1].bit_length()) > _MOST_BITS:
            rule = f"post-processing would compute outputs of {bits} bits, and {_MOST_BITS} is the limit"
            raise InputError(f"{self.mac}: {rule}; give ppu=off, or scales ue4m3")
        if self.ppu and self.lanes % self.mac.vector_size:
            rule = f"post-processing makes output vectors of V = {self.mac.vector_size}"
            raise InputError(f"lanes = {self.lanes}: {rule}; give a multiple of V, or ppu=off")

    @classmethod
    def parse(cls, text: str, **options: Any) -> "PeConfig":
        """Read the MAC's configuration or preset, then, if any, ``@`` and options: ``4/4/4/6:R=6@lanes=32,ppu=off``.

        ``options`` are constructor arguments of the element or of its MAC, as in :meth:`MacConfig.parse`.

        Raises:
            InputError: If the text is malformed or a value is out of range; the message names the part.
        """
        spec, _, tail = text.strip().partition("@")
        names = [each.name for each in declared(cls)]
        mac = MacConfig.parse(spec, **{name: value for name, value in options.items() if name not in names})
        given = {name: options[name] for name in names if options.get(name) is not None}
        return cls(**{"mac": mac, **read_options(cls, tail, text), **given})

    @property
    def full_name(self) -> str:
        """The MAC's full name, then ``@`` and every option that is not at its default; :meth:`parse` reads it back."""
        return f"{self._spelled_mac.full_name}@{spell_options(self, lanes=self.mac.vector_size)}"

    def __str__(self) -> str:
        return self.full_name

    @property
    def slug(self) -> str:
        """The full name as an identifier, for files and Verilog modules."""
        options = self.full_name.partition("@")[2]
        return "_".join([self._spelled_mac.slug, *(item.replace("=", "") for item in options.split(",") if item)])

    @property
    def _spelled_mac(self) -> MacConfig:
        """The MAC as it is spelled: without the number of vectors that follows from the weight buffer."""
        return replace(self.mac, max_vectors=None) if self.mac.max_vectors == self.weight_depth else self.mac

    def start(self, row: int, vectors: int) -> int:
        """Return the vector that the accumulation of a command's row starts from, going round to the one before it.

        The b rows that share reads start G/b vectors apart: so their results come evenly, not all at once.
        """
        return row % self.reuse * vectors // self.reuse

    @property
    def rows_bits(self) -> int:
        """Width of a command's rows."""
        return self.activation_depth.bit_length()

    @property
    def vectors_bits(self) -> int:
        """Width of a command's vectors."""
        return self.weight_depth.bit_length()

    @property
    def command_numbers(self) -> dict[str, int]:
        """Widths by name of a command's numbers, in the order of the ports."""
        numbers = {"rows": self.rows_bits, "vectors": self.vectors_bits}
        numbers |= {"offset": self.mac.offset_bits} if self.mac.window else {}
        return numbers | ({"scale_base": self.scale_base_max.bit_length()} if self.ppu and self.powers else {})

    @property
    def command_marks(self) -> tuple[str, ...]:
        """Names of a command's bits, which follow its numbers."""
        return "load_weights", "load_activations", *(("load_params", "requantize", "relu") if self.ppu else ())

    @property
    def floats(self) -> bool:
        """Whether the output scales are small floats; else they are integers, or there are none."""
        return isinstance(self.mac.activation_scale, Minifloat)

    @property
    def powers(self) -> bool:
        """Whether the output scales are powers of two."""
        return isinstance(self.mac.activation_scale, E8M0)

    @property
    def scale_base_max(self) -> int:
        """Largest base of scales that are powers of two, with which that of the largest z is a number."""
        return self.scale_max + 1 - self.z_range[1].bit_length()

    @property
    def scale_max(self) -> int:
        """Largest scale of activations and outputs, 2^M - 1 of integers; 1 if they have no per-vector scale."""
        scale = self.mac.activation_scale
        return scale.max if scale else 1

    @property
    def z_range(self) -> tuple[int, int]:
        """Range that z saturates to: what codes times scales can stand for, qmin*sq_max .. qmax*sq_max.

        Where scales are powers of two, which can stand for more than any accumulator, |z| has 24 bits, as in float32.
        """
        element = self.mac.activation
        if self.powers:
            most = (1 << _POWERS_BITS) - 1
            return -most if element.signed else 0, most
        return element.qmin * self.scale_max, element.qmax * self.scale_max

    @property
    def bias_bits(self) -> int:
        """Width of the signed bias: it holds twice the largest z, for accumulators that balance it."""
        return self.z_range[1].bit_length() + 2

    @property
    def shift_bits(self) -> int:
        """Width of the output shift. Proof of need: |acc * mult| < 2^(P-1+bits), so a larger shift gives 0 or -1."""
        return (self.mac.acc_bits + self.multiplier_bits).bit_length()


Configuration = MacConfig | PeConfig


def configuration(design: Configuration | str, *, pe: bool = False, **options: Any) -> Configuration:
    """Return the configuration of a design: of a processing element if its text has an ``@``, else of a vector MAC.

    Args:
        design: A configuration, which is returned as it is, or a text.
        pe: Whether a text without ``@`` names a processing element too.
        options: Constructor arguments that win over those in the text; None leaves them alone.

    Raises:
        InputError: If the text is malformed or a value is out of range, if ``pe`` or options are given beside a
            configuration, if ``design`` is neither a configuration nor a text, or if its formats have no hardware.
    """
    if isinstance(design, str):
        parsed = (PeConfig if pe or "@" in design else MacConfig).parse(design, **options)
        parsed.mac.check_hardware()
        return parsed
    if not isinstance(design, Configuration):
        raise InputError(f"{design!r}: a configuration, or a text such as 4/4U/4/6 or 4/4/4/6@lanes=32, is needed")
    if pe or options:
        raise InputError(f"{design}: options change a text, not a configuration; use dataclasses.replace")
    design.mac.check_hardware()
    return design


def several(designs: Configuration | str | Iterable[Configuration | str]) -> list[Configuration | str]:
    """Return designs as a list; one configuration, or one text, alone is a list of one."""
    return list(designs) if isinstance(designs, Iterable) and not isinstance(designs, str) else [designs]
