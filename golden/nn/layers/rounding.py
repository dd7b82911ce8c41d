"""Matrix products with rounded scale products.

    acc[m,n] = sum_g d[m,n,g] * r[m,n,g]
    d = sum_j w[n,g,j] * a[m,g,j],   r = min(2^R - 1, round(sw[n,g] * sa[m,g] / 2^s))

Of scales with exponents these are the significands; the powers of two multiply the codes, which stay exact.

The factor r differs for each output and vector, so that acc is no single matrix product: d is a product over V elements
for each vector, r one over a single scale. On a CPU they are computed by a kernel (:mod:`vsq.golden.kernels`), in whose
registers they stay. Elsewhere, and where it is missing, they are computed in tiles that stay within a core's cache, in
four passes: product, product of scales, rounding, sum.

Sums in float32 are exact as long as their bound is below 2^24; otherwise sums of few vectors are, which are summed up
in float64.
"""

import itertools
import math
from dataclasses import dataclass

import torch

from vsq.golden.contract.config import MacConfig, Rounding, round_shift
from vsq.golden.formats.elements import Format
from vsq.golden.kernels import products
from vsq.golden.model.datapath import BlockOperand
from vsq.golden.quantizer.pytorch import in_graph

_TILE = 3 << 15  # elements of d in a tile, and of r
_WIDTH = 512  # its columns, at most
_BATCH = 8  # its vectors in compiled graphs
_EXACT = 1 << 24  # float32 holds all integers up to here
_NARROW = 20  # bits of scale products that float32 rounds as it should
_FEW = products.LANES // 4  # columns, from which on the kernel is the faster one


@dataclass(frozen=True)
class Arranged:
    """Weights in the type and layout that is computed with."""

    operand: BlockOperand  # codes [groups, G, V, N], scales [groups, G, N]; or both in panels
    columns: int  # N
    panels: bool


class RoundedProducts:
    """The products of one configuration, with rounded scale products: ``products(arranged(weights), inputs)`` is acc.

    Attributes:
        kind: The type in which every d * r is exact, or float64.
        run: Vectors whose sum is exact in that type, whatever the operands are.
    """

    def __init__(self, config: MacConfig) -> None:
        magnitudes = (max(-side.min, side.max) for side in (config.weight, config.activation))
        term = config.vector_size * math.prod(magnitudes) * config.scale_factor_max
        bits = config.full_product_bits
        narrow = term <= _EXACT and bits <= _NARROW
        self.kind, self.run = (torch.float32, _EXACT // term) if narrow else (torch.float64, 1 << 62)
        # Scale products x are multiples of 2^-s below 2^(bits-s), and PyTorch rounds ties to the even neighbour. A
        # factor of 1 + 2^-(bits+1) lifts ties, by more than two roundings to 24 bits take away; and no x below a tie up
        # to it, which it is 2^-s below at least: x * 2^-(bits+1) < 2^-(s+1).
        lifted = 2.0 ** -(bits + 1) if config.rounding == Rounding.HALF_UP else 0.0
        self._unit = 2.0**-config.scale_shift * (1 + lifted)
        self._truncated = config.rounding == Rounding.TRUNCATE
        # The kernel adds instead half of x's unit 2^-s, by which no x is a tie; and takes 1/2 away for the floor.
        half = 2.0 ** -(config.scale_shift + 1)
        self._offset = {Rounding.HALF_UP: half, Rounding.HALF_EVEN: 0.0, Rounding.TRUNCATE: half - 0.5}[config.rounding]
        self._shift = config.scale_shift
        largest = math.prod(max(1, (1 << scale.significand_bits) - 1) for scale in config.scales if scale)
        most = (1 << (config.scale_product_bits or 0)) - 1
        clipped = round_shift(largest, config.scale_shift, config.rounding) > most
        self._most, self._clip = most, most if clipped else None
        self._weight_scale, self._activation_scale = config.scales

    def arranged(self, weights: BlockOperand, groups: int = 1) -> Arranged:
        """Return weights as they are computed with.

        Args:
            weights: Codes [N, G, V] and scales [N, G], the same number for each of ``groups``, one after another.
        """
        columns = len(weights.codes) // groups
        panels = weights.codes.is_cpu and columns >= _FEW and products.available()

        def laid_out(part: torch.Tensor) -> torch.Tensor:
            if panels:
                return products.in_panels(part, groups)
            return part.reshape(groups, -1, *part.shape[1:]).movedim(1, -1).contiguous()

        return Arranged(self._floats(weights, self._weight_scale).map(laid_out), columns, panels)

    def __call__(self, weights: Arranged, inputs: BlockOperand) -> torch.Tensor:
        """Return acc, [M, N] in float32 or float64: exact where it is below 2^53.

        Args:
            weights: Arranged ones.
            inputs: Codes [M * groups, G, V] and scales [M * groups, G], of which m * groups + i is for group i.
        """
        floats = self._floats(inputs, self._activation_scale)
        if not weights.panels:
            return self._in_tiles(weights.operand, floats)
        unit, offset = 2.0**-self._shift, self._offset
        acc: torch.Tensor = products.rounded_products(
            *weights.operand, *floats, columns=weights.columns, run=self.run, unit=unit, offset=offset, most=self._most
        )
        return acc

    def _in_tiles(self, weights: BlockOperand, inputs: BlockOperand) -> torch.Tensor:
        w, sw = weights
        groups = len(w)
        a, sa = inputs.map(
            lambda part: part.reshape(-1, groups, *part.shape[1:]).movedim(0, 2)
        )  # [groups, G, M, V] and [groups, G, M]
        p, q = (sa * self._unit)[..., None], sw[..., None, :]  # [groups, G, M, 1] and [groups, G, 1, N]
        (_, vectors, rows, _), columns = a.shape, w.shape[-1]

        compiling = in_graph()  # then nothing depends on data, and one tile keeps the graph small
        run = self.run
        if run < vectors and not compiling:
            run = max(run, _exact_run(_bounds(a, w, p, q)))
        run = min(run, vectors)
        width, height, batch = columns, rows, min(run, _BATCH)
        if not compiling:
            width = -(-columns // -(-columns // _WIDTH))
            height = min(rows, max(1, _TILE // (groups * width)))
            batch = min(run, max(1, _TILE // (groups * width * height)))
        space = None if compiling else a.new_empty(2, groups * batch * height * width)  # fresh memory is slow
        acc = a.new_zeros(groups, rows, columns, dtype=self.kind if run >= vectors else torch.float64)
        for top, start in itertools.product(range(0, rows, height), range(0, columns, width)):
            down, along = slice(top, top + height), slice(start, start + width)
            tile, parts = acc[:, down, along], (a[:, :, down], w[..., along], p[:, :, down], q[..., along])
            for several in zip(*(part.split(run, dim=1) for part in parts), strict=True):
                sums = tile if acc.dtype == self.kind else torch.zeros_like(tile, dtype=self.kind)
                for x, y, px, qy in zip(*(part.split(batch, dim=1) for part in several), strict=True):
                    dots = _product(x, y, None if space is None else space[0])
                    factors = self._rounded(px, qy, None if space is None else space[1])
                    if compiling:
                        sums += (dots * factors).sum(dim=1)
                    else:
                        for one, factor in zip(dots.unbind(1), factors.unbind(1), strict=True):
                            sums.addcmul_(one, factor)
                if sums is not tile:
                    tile += sums
        sums_of_all: torch.Tensor = acc.movedim(0, 1).flatten(1)
        return sums_of_all

    def _floats(self, operand: BlockOperand, scale: Format | None) -> BlockOperand:
        """Return the operand in the type that is computed with, its scales without exponents; without scales, ones."""
        codes, scales = operand.codes.to(self.kind), operand.scales
        if scale is None or scales is None:
            return BlockOperand(codes, torch.ones_like(codes[..., 0]))
        significands, exponents = scale.split(scales.long())
        if isinstance(exponents, torch.Tensor):
            codes = codes * (torch.ones_like(exponents) << exponents)[..., None].to(self.kind)
        return BlockOperand(codes, significands.to(self.kind))

    def _rounded(self, p: torch.Tensor, q: torch.Tensor, space: torch.Tensor | None) -> torch.Tensor:
        """Return r, [groups, G, M, N], in ``space`` if given."""
        x = torch.mul(p, q, out=_within(space, (*p.shape[:-1], q.shape[-1])))
        r: torch.Tensor = x.floor_() if self._truncated else x.round_()
        return r if self._clip is None else r.clamp_(max=self._clip)


def _product(x: torch.Tensor, y: torch.Tensor, space: torch.Tensor | None) -> torch.Tensor:
    """Return [groups, G, M, K] times [groups, G, K, N], in ``space`` if given."""
    shape = (*x.shape[:-1], y.shape[-1])
    out = _within(space, (shape[0] * shape[1], *shape[2:]))
    return torch.bmm(x.flatten(0, 1), y.flatten(0, 1), out=out).view(shape)


def _within(space: torch.Tensor | None, shape: tuple[int, ...]) -> torch.Tensor | None:
    """Return a tensor at the beginning of ``space``, if there is one."""
    return None if space is None else space[: math.prod(shape)].view(shape)


def _exact_run(terms: torch.Tensor) -> int:
    """Return a number of vectors, by halving that of all, whose sums of bounds [groups, G, M] are below 2^24."""
    run = terms.shape[1]
    while run > 1 and any(part.sum(dim=1).max() > _EXACT for part in torch.split(terms, run, dim=1)):
        run = -(-run // 2)
    return run


def _bounds(a: torch.Tensor, w: torch.Tensor, p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return bounds of |d * r|, [groups, G, M], by the largest magnitude in ``w`` and the largest scale of a vector."""
    factors: torch.Tensor = (p * q.amax(dim=-1, keepdim=True))[..., 0] + 1
    least, largest = torch.aminmax(w)
    return a.abs().sum(dim=-1) * factors * (torch.maximum(-least, largest) * (1 + 1e-4))
