"""The ONNX domain ``vsq``: local functions of standard operators, for what QuantizeLinear cannot say.

``Inputs`` quantizes rows of whole vectors, by the steps of :mod:`vsq.golden.quantizer.core`:

    y, codes, gamma, scales = Inputs(x, gamma)      y = codes * (scales * gamma);   codes as x, scales [R, vectors, 1]

``RoundedProduct`` multiplies integers, where the configuration rounds scale products; exact in float64 but for the end:

    y[m,n] = (sum_v (sum_j a[m,v,j] * w[n,v,j]) * r(sa[m,v] * sw[n,v])) * unit[n] * gamma[m] + bias[n]

A runtime that does not know the domain expands the functions. One function stands for all layers of one scheme; its
name says which: element, scale, V, source of gamma, rounding of scales.
"""

import onnx
from onnx.parser import parse_function

from vsq.golden.contract.config import MacConfig, Rounding
from vsq.golden.formats.elements import Format, Minifloat
from vsq.golden.quantizer.core import Order, ScaleRounding
from vsq.golden.quantizer.scheme import InputGamma, Scheme
from vsq.golden.quantizer.tensor import FLOAT32_MAX

DOMAIN = "vsq"
VERSION = 1
OPSET = 21  # of the standard operators: the first whose DequantizeLinear takes blocks and INT4

_FLOAT, _DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE
_ROUNDING = {
    Rounding.HALF_UP: "half = Constant <value = double {0.5}> ()  lifted = Add (parts, half)  r = Floor (lifted)",
    Rounding.HALF_EVEN: "r = Round (parts)",
    Rounding.TRUNCATE: "r = Floor (parts)",
}


def inputs(scheme: Scheme) -> onnx.FunctionProto:
    """Return the function ``Inputs`` of a scheme; a dynamic gamma is no input of it."""
    form = scheme.inputs
    lines = f"""
        shape = Constant <value_ints = [0, -1, {form.vector_size}]> ()
        vectors = Reshape (x, shape)
        magnitudes = Abs (vectors)
        along = Constant <value_ints = [2]> ()
        peaks = ReduceMax <keepdims = 1> (magnitudes, along)
        qmin = {_constant(form.element.qmin)}
        qmax = {_constant(form.element.qmax)}
        zero = {_constant(0)}
        s = Div (peaks, qmax)
    """
    given = scheme.calibrated
    name, divisor = f"Inputs_{form.element}_{form.scale or '-'}_V{form.vector_size}_{scheme.input_gamma}", "step"
    if form.scale is None:
        name, outputs = name.replace("-", "vector" if scheme.float_scales else "single"), "y, codes, gamma_of_x"
        lines += "gamma_of_x = Identity (gamma)" if given else _largest("gamma_of_x", scheme)
        lines += " step = Identity (gamma_of_x)"
    else:
        name, outputs = f"{name}_{form.scale_rounding}", "y, codes, gamma_of_x, scales"
        floats, ceil = isinstance(form.scale, Minifloat), form.scale_rounding == ScaleRounding.CEIL
        own_gamma = f"{_largest('largest', scheme, 'peaks' if floats else 's')}  gamma_of_x = Div (largest, most)"
        lines += f"""
        smax = {_constant(form.scale.max)}
        most = {_constant(form.scale.max * (form.element.qmax if floats else 1))}
        {"gamma_of_x = Identity (gamma)" if given else own_gamma}
        {_quotient("ratio", "s", "gamma_of_x")}
        {"whole = Ceil (ratio)" if ceil else _nearest(form.scale, "ratio", "whole")}
        """
        whole = "whole"
        if form.scale_rounding == ScaleRounding.AT_LEAST_ONE:
            lines += f"""
        one = {_constant(1)}
        present = Greater (s, zero)
        least = Where (present, one, zero)
        lifted = Max (whole, least)
            """
            whole = "lifted"
        lines += f"""
        scales = Min ({whole}, smax)
        product = Mul (scales, gamma_of_x)
        float32_max = {_constant(FLOAT32_MAX)}
        step = Min (product, float32_max)
        """
        if form.order == Order.PAPER:
            name, divisor = f"{name}_paper", "s"
    lines += f"""
        {_quotient("quotient", "vectors", divisor)}
        {_nearest(form.element, "quotient", "nearest")}
        integers = Clip (nearest, qmin, qmax)
        real = Mul (integers, step)
        x_shape = Shape (x)
        codes = Reshape (integers, x_shape)
        y = Reshape (real, x_shape)
    """
    return _function(f"{name} ({'x, gamma' if given else 'x'}) => ({outputs})", lines)


def rounded_product(scheme: Scheme) -> onnx.FunctionProto:
    """Return the function ``RoundedProduct`` of a scheme, for layers of any number of groups G and vectors v.

    Inputs: ``a`` [M * G, v * V] and ``sa`` [M * G, v, 1] are of ``Inputs``, as ``gamma``. The weights' codes and scales
    are arranged for it, in float32: ``w`` [v, G, V, N / G] and ``sw`` [v, G, 1, N / G]; ``unit`` and ``bias``, in
    float64, are [G, 1, N / G].
    """
    config, of_row = scheme.config, scheme.input_gamma == InputGamma.ROW
    gamma_shape = "Concat <axis = 0> (any, groups, one)" if of_row else "Constant <value_ints = [1, 1, 1]> ()"
    scaled = [name for name, form in (("sa", config.activation_scale), ("sw", config.weight_scale)) if form]
    lines = f"""
        any = Constant <value_ints = [-1]> ()
        one = Constant <value_ints = [1]> ()
        vectors = Shape <start = 0, end = 1> (w)
        groups = Shape <start = 1, end = 2> (w)
        size = Shape <start = 2, end = 3> (w)
        columns = Shape <start = 3, end = 4> (w)
        a_shape = Concat <axis = 0> (any, groups, vectors, size)
        a_split = Reshape (a, a_shape)
        a_turned = Transpose <perm = [2, 1, 0, 3]> (a_split)
        a_each = Cast <to = {_DOUBLE}> (a_turned)
        w_each = Cast <to = {_DOUBLE}> (w)
        rows = Shape <start = 2, end = 3> (a_turned)
        sum_shape = Concat <axis = 0> (groups, rows, columns)
        start = ConstantOfShape <value = double[1] {{0.0}}> (sum_shape)
    """
    if "sa" in scaled:
        lines += f"""
        sa_shape = Concat <axis = 0> (any, groups, vectors, one)
        sa_split = Reshape (sa, sa_shape)
        sa_turned = Transpose <perm = [2, 1, 0, 3]> (sa_split)
        sa_each = Cast <to = {_DOUBLE}> (sa_turned)
        """
    if "sw" in scaled:
        lines += f"sw_each = Cast <to = {_DOUBLE}> (sw)"
    each = ", ".join(f"{name}_each" for name in ("a", "w", *scaled))
    lines += f"""
        sum = Scan <num_scan_inputs = {2 + len(scaled)}, body = {_beat(config, scaled)}> (start, {each})
        gamma_shape = {gamma_shape}
        gamma_rows = Reshape (gamma, gamma_shape)
        gamma_turned = Transpose <perm = [1, 0, 2]> (gamma_rows)
        gamma_double = Cast <to = {_DOUBLE}> (gamma_turned)
        units = Mul (unit, gamma_double)
        products = Mul (sum, units)
        biased = Add (products, bias)
        turned = Transpose <perm = [1, 0, 2]> (biased)
        y_shape = Constant <value_ints = [0, -1]> ()
        y_double = Reshape (turned, y_shape)
        y = Cast <to = {_FLOAT}> (y_double)
    """
    name = f"RoundedProduct_{config.scale_product_bits}_{config.scale_shift}_{config.rounding}_{'_'.join(scaled)}"
    taken = ", ".join(["a", "w", *scaled, "gamma", "unit", "bias"])
    return _function(f"{name}{'_row' if of_row else ''} ({taken}) => (y)", lines)


def _beat(config: MacConfig, scaled: list[str]) -> str:
    """Return one step of the sum over vectors, as a graph."""
    taken = ", ".join(f"double[] {name}" for name in ("before", "a", "w", *scaled))
    scale_product = "Mul (sa, sw)" if len(scaled) == 2 else f"Identity ({scaled[0]})"
    return f"""beat ({taken}) => (double[] after) {{
            d = MatMul (a, w)
            p = {scale_product}
            two_to_the_shift = Constant <value = double {{{2.0**config.scale_shift}}}> ()
            parts = Div (p, two_to_the_shift)
            {_ROUNDING[config.rounding]}
            largest = Constant <value = double {{{2.0 ** (config.scale_product_bits or 0) - 1}}}> ()
            factor = Min (r, largest)
            t = Mul (d, factor)
            after = Add (before, t)
        }}"""


def _largest(result: str, scheme: Scheme, of: str = "s") -> str:
    """Return the largest s, or magnitude, of what shares one gamma."""
    if scheme.float_scales:
        return f"{result} = Identity ({of})"
    if scheme.input_gamma == InputGamma.ROW:
        return f"of_row = Constant <value_ints = [1, 2]> ()  {result} = ReduceMax <keepdims = 1> ({of}, of_row)"
    return f"{result} = ReduceMax <keepdims = 1> ({of})"


def _quotient(result: str, x: str, divisor: str) -> str:
    """Return x / divisor, and 0 where the divisor is 0."""
    return f"""{result}_defined = Greater ({divisor}, zero)
        {result}_or_nan = Div ({x}, {divisor})
        {result} = Where ({result}_defined, {result}_or_nan, zero)"""


def _nearest(kind: Format, x: str, result: str) -> str:
    """Return the nearest value of a format, before clipping."""
    if not isinstance(kind, Minifloat):
        return f"{result} = Round ({x})"
    lines, step = [f"{x}_sizes = Abs ({x})", f"{x}_step_0 = {_constant(1)}"], f"{x}_step_0"
    for power in range(kind.mantissa_bits + 1, kind.mantissa_bits + (1 << kind.exponent_bits) - 1):
        lines += [
            f"{x}_power_{power} = {_constant(1 << power)}",
            f"{x}_reached_{power} = GreaterOrEqual ({x}_sizes, {x}_power_{power})",
            f"{x}_doubled_{power} = {_constant(1 << (power - kind.mantissa_bits))}",
            f"{x}_step_{power} = Where ({x}_reached_{power}, {x}_doubled_{power}, {step})",
        ]
        step = f"{x}_step_{power}"
    in_steps = f"{x}_in_steps = Div ({x}, {step})", f"{x}_rounded = Round ({x}_in_steps)"
    return "\n".join([*lines, *in_steps, f"{result} = Mul ({x}_rounded, {step})"])


def _constant(value: float) -> str:
    return f"Constant <value = float {{{float(value)}}}> ()"


def _function(signature: str, lines: str) -> onnx.FunctionProto:
    """Return the function of a signature and lines of ONNX's textual syntax."""
    return parse_function(f'<domain: "{DOMAIN}", opset_import: ["" : {OPSET}]> {signature} {{ {lines} }}')
