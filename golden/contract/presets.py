"""Configurations with names: presets of hardware, and block formats."""

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
    "nvfp4": ("e2m1/e2m1/ue4m3/ue4m3", "NVFP4: E2M1, with E4M3 scales and a float32 scale of the tensor"),
    "nvint4": ("4/4/ue4m3/ue4m3:narrow=1", "NVINT4: 4-bit integers with the scales of NVFP4"),
    "w4a8fp8": (
        "4/e4m3/ue4m3/-:dpq=1",
        "W4A8-FP8: 4-bit weights times their scale, as E4M3 (dual precision)",
    ),
    "silicon": ("4/4/8/8:V=64,R=8,acc=24", "the INT4 mode of the 5 nm chip of Keller et al., JSSC 58(4), 2023"),
}

# The same of OCP MX, whose vectors of 32 make large designs: a regression of all presets leaves these out.
FORMATS: dict[str, tuple[str, str]] = {
    "mxfp4": ("e2m1/e2m1/e8m0/e8m0:V=32,window=48", "OCP MXFP4: E2M1 with powers of two"),
    "mxfp6-e2m3": ("e2m3/e2m3/e8m0/e8m0:V=32,window=52", "OCP MXFP6 with 3 mantissa bits"),
    "mxfp6-e3m2": ("e3m2/e3m2/e8m0/e8m0:V=32,window=58", "OCP MXFP6 with 3 exponent bits"),
    "mxfp8-e4m3": ("e4m3/e4m3/e8m0/e8m0:V=32,window=76", "OCP MXFP8 with 3 mantissa bits"),
    "mxfp8-e5m2": ("e5m2/e5m2/e8m0/e8m0:V=32,window=96", "OCP MXFP8 with 5 exponent bits"),
    "mxint8": ("8/8/e8m0/e8m0:V=32,window=44,narrow=1", "OCP MXINT8: 8-bit integers with powers of two"),
}
