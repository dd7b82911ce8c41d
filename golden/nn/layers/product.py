"""Matrix products of two activations: attention's scores and values, and whatever calls :class:`Product`.

    y[m, n] = sum_k a^[m, k] b^[k, n]       a^, b^: quantized, vectors along k;  gradients pass straight through

The first operand has the configuration's activation formats, the second the weights'; each batch is a matrix product.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vsq.golden.contract.config import MacConfig
from vsq.golden.contract.errors import InputError, did_you_mean
from vsq.golden.nn.calibration import Observer, observer
from vsq.golden.nn.layers import state
from vsq.golden.nn.layers.attributes import take_over
from vsq.golden.nn.layers.gammas import Float32Gammas
from vsq.golden.nn.layers.rounding import RoundedProducts
from vsq.golden.nn.layers.straight import straight_through
from vsq.golden.quantizer import pytorch
from vsq.golden.quantizer.scheme import Scheme
from vsq.golden.quantizer.tensor import Quantized

Products = MacConfig | Scheme | str | Mapping[str, Scheme]  # of all of a model's products, or of some by name


class Product(nn.Module):
    """The product ``a @ b`` as a module, of [..., M, K] and [..., K, N]."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return [..., M, N]."""
        return a @ b


class QuantizedProduct(Float32Gammas, Product):
    """A product of quantized operands.

    Args:
        product: The float one.
        scheme: Formats and gammas: static ones, or those of each call's operand, or of each row of ``a`` and column of
            ``b``.
        name: What error messages call it.

    Raises:
        InputError: If the scheme has float scales.
    """

    left_gamma: torch.Tensor  # float32, one value each; NaN before calibration
    right_gamma: torch.Tensor

    def __init__(self, product: Product, scheme: Scheme, name: str) -> None:
        if scheme.float_scales:
            raise InputError(f"product {name!r}: float scales are for weights; choose integer scales, or none")
        take_over(self, product)
        self.scheme, self.name = scheme, name
        inputs = scheme.inputs
        right = replace(scheme.weights, granularity=inputs.granularity, scale_rounding=inputs.scale_rounding)
        self.quantizers = {"left": scheme.inputs, "right": right}
        for side in self.quantizers:
            self.register_buffer(f"{side}_gamma", torch.full((), math.nan, dtype=torch.float32))
        self._products = RoundedProducts(scheme.config) if scheme.config.scale_shift else None

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return [..., M, N] in the type of ``a``, also under autocast."""
        with torch.autocast(a.device.type, enabled=False):
            left, right, shape = self.operands(a, b)
            if not left.numel() or not right.numel():
                return torch.einsum("bmk,bnk->bmn", left, right).reshape(shape).to(a.dtype)
            x, w = self.quantized("left", left), self.quantized("right", right)
            real = [
                straight_through(values, part.dequantize().reshape(values.shape))
                for values, part in ((left, x), (right, w))
            ]
            y = torch.einsum("bmk,bnk->bmn", *real)
            if self._products is not None:
                y = straight_through(y, self._rounded(x, w, len(left)).to(y.dtype)).clone()
            return y.reshape(shape).to(a.dtype)

    def operands(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, tuple[int, ...]]:
        """Return the factors of B products in float32, [B, M, K] and [B, N, K], and the shape of the whole."""
        batch = torch.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # type: ignore[no-untyped-call]
        left, right = (
            operand.float().expand(*batch, *operand.shape[-2:]).reshape(-1, *operand.shape[-2:])
            for operand in (a, b.transpose(-2, -1))
        )
        return left, right, (*batch, a.shape[-2], b.shape[-1])

    def quantized(self, side: str, rows: torch.Tensor) -> Quantized[torch.Tensor]:
        """Return the integers, [B * M, 1, G, V], of one operand: [B, M, K], or for the ``right`` one [B, N, K]."""
        gamma = getattr(self, f"{side}_gamma") if self.scheme.calibrated else None
        flat = rows.flatten(0, 1)[:, None]
        return pytorch.quantize(self.quantizers[side], flat, gamma=gamma, name=f"{side} operand of {self.name}")

    @torch.no_grad()
    def _rounded(self, left: Quantized[torch.Tensor], right: Quantized[torch.Tensor], batch: int) -> torch.Tensor:
        """Return the products with rounded scale products, [B, M, N], in float64."""
        assert self._products is not None
        by_row = left.operand().map(lambda part: part.reshape(batch, -1, *part.shape[1:]).transpose(0, 1).flatten(0, 1))
        acc = self._products(self._products.arranged(right.operand(), batch), by_row)
        acc = acc.reshape(len(acc), batch, -1).transpose(0, 1)
        a, b = (side.gamma.double().reshape(batch if side.gamma.numel() > 1 else 1, -1) for side in (left, right))
        unit: torch.Tensor = a[:, :, None] * b[:, None] * 2.0**self.scheme.config.scale_shift
        return acc * unit

    def get_extra_state(self) -> torch.Tensor:
        """Return the configuration, for ``state_dict``."""
        return state.encoded(self.scheme, 1, True)

    def set_extra_state(self, _state: Any) -> None:
        """Do nothing: the configuration is compared before anything is loaded."""

    def _load_from_state_dict(self, tensors: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Load gammas; an InputError says that they are of another configuration."""
        state.check(self.get_extra_state(), tensors, prefix)
        super()._load_from_state_dict(tensors, prefix, *rest)

    def extra_repr(self) -> str:
        """Return the configuration."""
        return str(self.scheme)


def fresh_products(model: nn.Module, schemes: Products) -> dict[nn.Module, QuantizedProduct]:
    """Return what the products in a model become: all of them, or those that have schemes by name.

    Raises:
        InputError: If there is none, or none of a name.
    """
    products = {
        name: product
        for name, product in model.named_modules()
        if isinstance(product, Product) and not isinstance(product, QuantizedProduct)
    }
    if not products:
        rule = "the model has no attention that is supported, and no Product; leave products out"
        raise InputError(f"products {', '.join(schemes) if isinstance(schemes, Mapping) else schemes}: {rule}")
    by_name = schemes if isinstance(schemes, Mapping) else dict.fromkeys(products, Scheme.of(schemes))
    if odd := sorted(by_name.keys() - products.keys()):
        raise InputError(f"product {odd[0]!r}: the model has none of that name; {did_you_mean(odd[0], products)}")
    return {products[name]: QuantizedProduct(products[name], scheme, name) for name, scheme in by_name.items()}


@contextmanager
def observed(products: dict[nn.Module, QuantizedProduct]) -> Iterator[None]:
    """Give products their static gammas by what runs in this context; take those out that never run."""
    seen: dict[nn.Module, list[Observer]] = {}

    def hook(product: nn.Module, operands: tuple[torch.Tensor, torch.Tensor]) -> None:
        for one, operand in zip(seen[product], (operands[0], operands[1].transpose(-2, -1)), strict=False):
            if operand.numel():
                one.observe(operand.reshape(-1, operand.shape[-1]))

    with ExitStack() as hooks:
        for product, quantized in products.items():
            hooks.enter_context(product.register_forward_pre_hook(hook))
            scheme, name = quantized.scheme, quantized.name
            seen[product] = [
                observer(scheme.calibration, each, name=f"{side} operand of {name}", percentile=scheme.percentile)
                for side, each in quantized.quantizers.items()
                if scheme.calibrated
            ]
        yield
    for product, observers in seen.items():
        if any(one.maximum is None for one in observers):
            del products[product]
        else:
            for side, one in zip(products[product].quantizers, observers, strict=False):
                getattr(products[product], f"{side}_gamma").copy_(one.gamma())
