"""The U-Net of DDPM with 9,283,587 parameters, and its training step."""
import math
import torch, torch.nn as nn, torch.nn.functional as F
from steps import adam, descend, measure

BATCH, SIDE, STEPS = 16, 32, 1000
BASE, TIME, MULTIPLES, BLOCKS, ATTENTION = 64, 256, (1, 2, 2, 2), 2, (16, 8)


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm0, self.conv0 = nn.GroupNorm(32, inputs), nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.time = nn.Linear(TIME, outputs)
        self.norm1, self.conv1 = nn.GroupNorm(32, outputs), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, time):
        h = self.conv0(F.silu(self.norm0(x))) + self.time(time)[:, :, None, None]
        h = self.conv1(F.dropout(F.silu(self.norm1(h)), 0.1, self.training))
        return h + self.shortcut(x)


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.qkv, self.out = nn.GroupNorm(32, width), nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x, _):
        n, c, h, w = x.shape
        rows = self.norm(x).permute(0, 2, 3, 1).reshape(n, h * w, c)
        q, k, v = self.qkv(rows).chunk(3, -1)
        rows = self.out(F.scaled_dot_product_attention(q, k, v))
        return x + rows.view(n, h, w, c).permute(0, 3, 1, 2)


class Block(nn.Module):
    def __init__(self, inputs, outputs, side):
        super().__init__()
        self.residual = Residual(inputs, outputs)
        self.attention = Attention(outputs) if side in ATTENTION else None

    def forward(self, x, time):
        x = self.residual(x, time)
        return x if self.attention is None else self.attention(x, time)


class Halve(nn.Conv2d):
    def __init__(self, width):
        super().__init__(width, width, 3, 2, 1)

    def forward(self, x, _):
        return super().forward(x)


class Double(nn.Conv2d):
    def __init__(self, width):
        super().__init__(width, width, 3, 1, 1)

    def forward(self, x, _):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(BASE, TIME), nn.SiLU(), nn.Linear(TIME, TIME), nn.SiLU())
        self.head = nn.Conv2d(3, BASE, 3, 1, 1)
        width, side, left, self.down = BASE, SIDE, [BASE], nn.ModuleList()
        for level, multiple in enumerate(MULTIPLES):
            for _ in range(BLOCKS):
                self.down.append(Block(width, multiple * BASE, side))
                width = multiple * BASE
                left.append(width)
            if level + 1 < len(MULTIPLES):
                self.down.append(Halve(width))
                side //= 2
                left.append(width)
        self.middle = nn.ModuleList([Residual(width, width), Attention(width), Residual(width, width)])
        self.up = nn.ModuleList()
        for level, multiple in reversed(list(enumerate(MULTIPLES))):
            for _ in range(BLOCKS + 1):
                self.up.append(Block(width + left.pop(), multiple * BASE, side))
                width = multiple * BASE
            if level:
                self.up.append(Double(width))
                side *= 2
        self.norm, self.tail = nn.GroupNorm(32, width), nn.Conv2d(width, 3, 3, 1, 1)
        rates = torch.exp(-math.log(10000) * torch.arange(BASE // 2) / (BASE // 2 - 1))
        self.register_buffer("rates", rates)

    def forward(self, x, steps):
        angles = steps[:, None] * self.rates
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        x = self.head(x)
        left = [x]
        for part in self.down:
            x = part(x, time)
            left.append(x)
        for part in self.middle:
            x = part(x, time)
        for part in self.up:
            x = part(torch.cat([x, left.pop()], 1) if isinstance(part, Block) else x, time)
        return self.tail(F.silu(self.norm(x)))


def make(prepare):
    model, images = prepare(UNet()), prepare(torch.rand(BATCH, 3, SIDE, SIDE) * 2 - 1)
    assert sum(p.numel() for p in model.parameters()) == 9_283_587
    optimiser = adam(model, 2e-4)
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, STEPS), 0)

    def step():
        steps, noise = torch.randint(STEPS, (BATCH,)), torch.randn_like(images)
        share = kept[steps].view(-1, 1, 1, 1)
        x = share.sqrt() * images + (1 - share).sqrt() * noise
        return descend(optimiser, F.mse_loss(model(x, steps), noise))
    return step


measure(BATCH, make)
