"""Named configurations: generator, tests and synthesis loop over these."""

import difflib
from typing import Any

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError

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


def preset(name: str, **options: Any) -> MacConfig:
    """Return the preset called ``name``; ``options`` are ``MacConfig`` arguments that override it.

    Raises:
        InputError: If there is no such preset, or the options are out of range.
    """
    return MacConfig.parse(PRESETS[name][0], **options)


def resolve(text: str, **options: Any) -> MacConfig:
    """Return the configuration that a user's ``text`` names: a preset, or ``W/A/ws/as`` with options.

    Raises:
        InputError: If it is neither, or a value is out of range.
    """
    if text in PRESETS:
        return preset(text, **options)
    if "/" not in text:
        near = difflib.get_close_matches(text, PRESETS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "'vsq presets' lists them"
        raise InputError(f"{text!r}: neither a preset nor a configuration W/A/ws/as; {hint}")
    return MacConfig.parse(text, **options)
