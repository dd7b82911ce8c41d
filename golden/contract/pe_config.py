"""The configuration of a processing element, which :mod:`vsq.golden.model.pe` describes, and of either design."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError
from vsq.golden.contract.options import check_options, declared, option, read_options, spell_options

MAX_LANES = 64
MAX_DEPTH = 1 << 16


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "lanes", self.mac.vector_size if self.lanes is None else self.lanes)
        check_options(self)
        for name in ("weight_depth", "activation_depth"):
            depth = getattr(self, name)
            if depth & (depth - 1):
                raise InputError(f"{name} = {depth}: banks are powers of two; give {1 << depth.bit_length()}")
        if self.mac.accumulator_bits is None and self.mac.max_vectors is None:
            object.__setattr__(self, "mac", replace(self.mac, max_vectors=self.weight_depth))
        if self.ppu and not self.mac.activation.contiguous:
            rule = "post-processing rounds outputs to integers, which are not all of this format"
            raise InputError(f"{self.mac.activation} activations: {rule}; give ppu=off or an integer format")
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

    @property
    def rows_bits(self) -> int:
        """Width of a command's rows."""
        return self.activation_depth.bit_length()

    @property
    def vectors_bits(self) -> int:
        """Width of a command's vectors."""
        return self.weight_depth.bit_length()

    @property
    def scale_max(self) -> int:
        """Largest scale of activations and outputs, 2^M - 1; 1 if they have no per-vector scale."""
        scale = self.mac.activation_scale
        return scale.max if scale else 1

    @property
    def z_range(self) -> tuple[int, int]:
        """Range that z saturates to: what codes times scales can stand for, qmin*sq_max .. qmax*sq_max."""
        element = self.mac.activation
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
            configuration, or if ``design`` is neither a configuration nor a text.
    """
    if isinstance(design, str):
        return (PeConfig if pe or "@" in design else MacConfig).parse(design, **options)
    if not isinstance(design, Configuration):
        raise InputError(f"{design!r}: a configuration, or a text such as 4/4U/4/6 or 4/4/4/6@lanes=32, is needed")
    if pe or options:
        raise InputError(f"{design}: options change a text, not a configuration; use dataclasses.replace")
    return design


def several(designs: Configuration | str | Iterable[Configuration | str]) -> list[Configuration | str]:
    """Return designs as a list; one configuration, or one text, alone is a list of one."""
    return list(designs) if isinstance(designs, Iterable) and not isinstance(designs, str) else [designs]
