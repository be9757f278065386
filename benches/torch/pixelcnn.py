"""PixelCNN v1 over tokens, which enter as their bits."""
import torch, torch.nn as nn, torch.nn.functional as F
from steps import adam, descend, measure


class Masked(nn.Conv2d):
    """7x7; the later half of the window is zero, and its middle too (A) or not (B)."""
    def __init__(self, inputs, outputs, kind):
        super().__init__(inputs, outputs, 7, 1, 3)
        mask = torch.zeros(49)
        mask[:24 if kind == "A" else 25] = 1
        self.register_buffer("mask", mask.view(1, 1, 7, 7).expand(self.weight.shape).contiguous())

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, 1, 3)


def pixelcnn(side, bits, width=64, batch=64):
    def make(prepare):
        layers = [Masked(bits, width, "A"), nn.ReLU()]
        for _ in range(7):
            layers += [Masked(width, width, "B"), nn.ReLU()]
        model = prepare(nn.Sequential(*layers, nn.Conv2d(width, 2 ** bits, 1)))
        optimiser = adam(model)
        tokens = torch.randint(2 ** bits, (batch, side, side))
        signs = torch.stack([(tokens >> k & 1) * 2.0 - 1 for k in range(bits)], 1)
        signs = prepare(signs)
        return lambda: descend(optimiser, F.cross_entropy(model(signs), tokens))
    measure(batch, make)
