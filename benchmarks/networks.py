"""Networks of the benchmarks, with random weights: torchvision's ResNet-18, and an encoder of MiniLM's shape."""

import torch
from torch import nn
from torch.nn import functional

WIDTHS = (64, 128, 256, 512)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet18(nn.Module):
    """The classifier of 224x224 images, [B, 3, 224, 224] to [B, 1000].

    Source: He et al., Deep Residual Learning (arXiv 1512.03385).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        blocks = []
        for inputs, outputs in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False):
            blocks += [Block(inputs, outputs, 1 if outputs == WIDTHS[0] else 2), Block(outputs, outputs, 1)]
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(WIDTHS[-1], 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        logits: torch.Tensor = self.fc(self.blocks(x).mean(dim=(2, 3)))
        return logits


class EncoderLayer(nn.Module):
    """Self-attention of 12 heads and two linear layers, each with a residual sum and a LayerNorm after it."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.expand, self.contract = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the layer's output, [B, T, width]."""
        heads = (*x.shape[:2], 12, -1)
        query, key, value = (part(x).reshape(heads).transpose(1, 2) for part in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(x.shape)
        x = self.norms[0](x + self.output(mixed))
        y: torch.Tensor = self.norms[1](x + self.contract(functional.gelu(self.expand(x))))
        return y


def encoder() -> nn.Module:
    """Return the 6 layers of MiniLM, of embedded tokens [B, T, 384] to the same; 36 Linear layers."""
    return nn.Sequential(*(EncoderLayer(384, 1536) for _ in range(6)))
