"""Trains small models in PyTorch, in f64, from the weights, batches and noise that
the stages of `ablate` draw, and writes what it trained and each loss to curves.json,
which a test holds the stages against.

    pip install torch numpy blake3
    python curves.py            writes curves.json again
    python curves.py --check    says how far the written ones are from new ones
"""
import gzip
import json
import pathlib
import sys

import numpy as np
import torch
import torch.nn.functional as F

from rng import Stream

HERE = pathlib.Path(__file__).parent
STEPS, IMAGES, SEED = 200, 20, 0
TRAINING = {"steps": STEPS, "batch": 8, "log_every": 1}
LEAK = 0.01


def digits():
    """The first training images, `[IMAGES, 1, 8, 8]` in [-1, 1]."""
    packed = HERE.parents[2] / "data/digits/digits.bin.gz"
    pixels = np.frombuffer(gzip.decompress(packed.read_bytes())[: 1797 * 64], np.uint8)
    order = Stream(0, "split", 0).permutation(1797)[:IMAGES]
    return torch.tensor(pixels.reshape(1797, 1, 8, 8)[order] / 8.0 - 1)


def batches(full):
    """Which examples each step takes."""
    batch = TRAINING["batch"]
    per_epoch = IMAGES // batch if full else -(-IMAGES // batch)
    for step in range(STEPS):
        epoch, within = divmod(step, per_epoch)
        if within == 0:
            order = Stream(SEED, "batches", epoch).permutation(IMAGES)
        yield step, torch.tensor(order[within * batch : (within + 1) * batch])


def f64(values, *shape):
    return torch.tensor(values.astype(np.float64)).reshape(shape)


class Parameters(dict):
    """By name, in the layouts of `ablate`: drawn when they are first asked for."""

    def of(self, name, shape, draw):
        if name not in self:
            self[name] = f64(draw(Stream(SEED, f"init {name}", 0)), *shape).requires_grad_()
        return self[name]

    def layer(self, name, shape, fan_in, outputs):
        bound = np.float32(1) / np.sqrt(np.float32(fan_in))
        draw = lambda rng, n: bound * rng.signed(n)
        weight = self.of(f"{name}.weight", shape, lambda rng: draw(rng, int(np.prod(shape))))
        return weight, self.of(f"{name}.bias", (outputs,), lambda rng: draw(rng, outputs))

    def linear(self, name, x, outputs):
        weight, bias = self.layer(name, (x.shape[-1], outputs), x.shape[-1], outputs)
        return x @ weight + bias

    def pointwise(self, name, x, outputs):
        return self.linear(name, x.movedim(1, -1), outputs).movedim(-1, 1)

    def conv(self, name, x, outputs, kernel, stride, padding, seen=None):
        inputs = x.shape[1]
        shape = (kernel, kernel, inputs, outputs)
        weight, bias = self.layer(name, shape, kernel * kernel * inputs, outputs)
        if seen is not None:  # the first taps of the window only
            mask = (torch.arange(kernel * kernel) < seen).reshape(kernel, kernel, 1, 1)
            weight = weight * mask
        return F.conv2d(x, weight.permute(3, 2, 0, 1), bias, stride, padding)

    def transposed(self, name, x, outputs, kernel, stride, padding):
        shape = (x.shape[1], kernel, kernel, outputs)
        weight, bias = self.layer(name, shape, kernel * kernel * outputs, outputs)
        return F.conv_transpose2d(x, weight.permute(0, 3, 1, 2), bias, stride, padding)

    def scale(self, name, channels):
        ones = lambda rng: np.ones(channels, np.float32)
        zeros = lambda rng: np.zeros(channels, np.float32)
        return self.of(f"{name}.weight", (channels,), ones), self.of(f"{name}.bias", (channels,), zeros)

    def group_norm(self, name, x, groups):
        return F.group_norm(x, groups, *self.scale(name, x.shape[1]))

    def batch_norm(self, name, x):
        return F.batch_norm(x, None, None, *self.scale(name, x.shape[1]), training=True)


class Autoencoder:
    kind, rate = "autoencoder", 2e-3
    spec = {"channels": [12], "wide": 16, "latent_channels": 4, "decoder_in": 16,
            "decoder_front": 12, "refine": 4, "noise": "triangular", "sigma": 1.0, "kappa": 2.0}

    def loss(self, p, step, chosen):
        x = digits()[chosen]
        z = F.leaky_relu(p.conv("encoder.0", x, 12, 4, 2, 1), LEAK)
        z = p.pointwise("encoder.2", p.pointwise("encoder.1", z, 16), 4).tanh()
        u = Stream(SEED, "noise", step).signed(z.numel())
        noise = np.copysign(1 - np.sqrt(np.abs(u)), u)
        z = z + f64(noise, z.shape[0], 4, 4, 4).movedim(-1, 1)
        y = F.leaky_relu(p.pointwise("decoder.1", p.pointwise("decoder.0", z, 16), 16), LEAK)
        y = F.leaky_relu(p.transposed("decoder.2", y, 12, 3, 1, 1), LEAK)
        y = p.transposed("decoder.3", y, 1, 4, 2, 1).tanh()
        y = F.leaky_relu(p.conv("decoder.4", y, 4, 3, 1, 1), LEAK)
        y = p.conv("decoder.5", y, 1, 3, 1, 1)
        return (y - x).square().sum() / len(x)


class Vae:
    kind, rate = "vae", 3e-3
    spec = {"hidden": 24, "latent": 5, "noise_scale": 0.5}

    def loss(self, p, step, chosen):
        x = (digits()[chosen].flatten(1) + 1) / 2
        hidden = p.linear("encoder", x, 24).relu()
        mean, log_variance = p.linear("mean", hidden, 5), p.linear("log_variance", hidden, 5)
        noise = f64(Stream(SEED, "noise", step).normals(mean.numel()), *mean.shape)
        z = mean + 0.5 * (log_variance / 2).exp() * noise
        logits = p.linear("decoder.1", p.linear("decoder.0", z, 24).relu(), 64)
        likelihood = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum() / 2
        return (likelihood + divergence) / len(x)


class PixelCnn:
    kind, rate = "pixelcnn", 3e-3
    spec = {"width": 8}
    bits, side = 3, 4

    def tokens(self):
        rng = Stream(SEED, "tokens", 0)
        drawn = [rng.below(2**self.bits) for _ in range(IMAGES * self.side**2)]
        return torch.tensor(drawn).reshape(IMAGES, self.side, self.side)

    def loss(self, p, step, chosen):
        tokens = self.tokens()[chosen]
        x = torch.stack([(tokens >> k & 1) * 2.0 - 1 for k in range(self.bits)], 1).double()
        for layer in range(8):
            x = p.conv(f"masked.{layer}", x, 8, 7, 1, 3, 24 if layer == 0 else 25).relu()
        return F.cross_entropy(p.pointwise("output", x, 2**self.bits), tokens)


class Gan:
    kind, rate, betas, full = "gan", 2e-4, (0.5, 0.999), True
    spec = {"latent": 6, "generator": [16, 24], "discriminator": [20]}

    def fakes(self, p, step, n):
        rng = Stream(SEED, "latents", step)
        noise = f64(rng.normals(n * 6), n, 6)
        components = torch.tensor([rng.below(IMAGES) for _ in range(n)])
        means = p.of("generator.means.weight", (IMAGES, 6), lambda rng: rng.normals(IMAGES * 6))
        start = lambda rng: np.full(IMAGES * 6, np.log(0.1), np.float32)
        deviations = p.of("generator.deviations.weight", (IMAGES, 6), start)
        x = means[components] + deviations[components].exp() * noise
        x = F.leaky_relu(p.linear("generator.hidden.0", x, 16), 0.2)
        x = p.batch_norm("generator.norm.1", p.linear("generator.hidden.1", x, 24))
        return p.linear("generator.output", F.leaky_relu(x, 0.2), 64).tanh()

    def verdict(self, p, x):
        x = F.leaky_relu(p.linear("discriminator.hidden.0", x, 20), 0.2)
        return p.linear("discriminator.output", x, 1)

    def groups(self, p):
        mine = [v for k, v in p.items() if k.startswith("generator.")]
        return mine, [v for k, v in p.items() if k.startswith("discriminator.")]

    def losses(self, p, step, chosen):
        real, bce = digits()[chosen].flatten(1), F.binary_cross_entropy_with_logits
        fakes = self.fakes(p, step, len(real))
        ones, zeros = torch.ones(len(real), 1).double(), torch.zeros(len(real), 1).double()
        yield "generator_loss", bce(self.verdict(p, fakes), ones)
        of_real, of_fakes = self.verdict(p, real), self.verdict(p, fakes.detach())
        yield "discriminator_loss", (bce(of_real, ones) + bce(of_fakes, zeros)) / 2


class Diffusion:
    kind, rate = "diffusion", 2e-3
    spec = {"base": 8, "multiples": [1, 2], "blocks": 1, "attention": [4], "groups": 4,
            "dropout": 0.0, "timesteps": 100, "beta_start": 1e-3, "beta_end": 0.1}

    def residual(self, p, name, x, time, width):
        part = lambda part: f"{name}.{part}"
        h = p.conv(part("conv.0"), F.silu(p.group_norm(part("norm.0"), x, 4)), width, 3, 1, 1)
        h = h + p.linear(part("time"), time, width)[:, :, None, None]
        h = p.conv(part("conv.1"), F.silu(p.group_norm(part("norm.1"), h, 4)), width, 3, 1, 1)
        around = x if x.shape[1] == width else p.pointwise(part("shortcut"), x, width)
        return h + around

    def attend(self, p, name, x):
        n, c, h, w = x.shape
        sites = p.group_norm(f"{name}.norm", x, 4).flatten(2).mT
        q, k, v = p.linear(f"{name}.qkv", sites, 3 * c).chunk(3, -1)
        mixed = (q @ k.mT / c**0.5).softmax(-1) @ v
        return x + p.linear(f"{name}.out", mixed, c).mT.reshape(n, c, h, w)

    def net(self, p, x, steps):
        rates = 10_000.0 ** -(torch.arange(4).double() / 3)
        angles = steps[:, None] * rates
        time = torch.cat([angles.sin(), angles.cos()], 1).float().double()
        time = F.silu(p.linear("time.1", F.silu(p.linear("time.0", time, 32)), 32))
        left = [p.conv("head", x, 8, 3, 1, 1)]
        left.append(self.residual(p, "down.0.0", left[-1], time, 8))
        left.append(p.conv("down.0.halve", left[-1], 8, 3, 2, 1))
        x = self.residual(p, "down.1.0", left[-1], time, 16)
        left.append(self.attend(p, "down.1.0.attention", x))
        x = self.attend(p, "middle.1", self.residual(p, "middle.0", left[-1], time, 16))
        x = self.residual(p, "middle.2", x, time, 16)
        for level, width in ((1, 16), (0, 8)):
            for index in range(2):
                x = torch.cat([x, left.pop()], 1)
                x = self.residual(p, f"up.{level}.{index}", x, time, width)
                if level == 1:
                    x = self.attend(p, f"up.{level}.{index}.attention", x)
            if level == 1:
                x = p.conv("up.1.double", F.interpolate(x, scale_factor=2), 16, 3, 1, 1)
        return p.conv("tail", F.silu(p.group_norm("tail.norm", x, 4)), 1, 3, 1, 1)

    def loss(self, p, step, chosen):
        x, rng = digits()[chosen], Stream(SEED, "diffusion", step)
        steps = torch.tensor([rng.below(100) for _ in chosen])
        noise = f64(rng.normals(x.numel()), *x.shape)
        kept = torch.cumprod(1 - torch.linspace(1e-3, 0.1, 100).double(), 0)[steps]
        kept = kept[:, None, None, None]
        mixed = kept.sqrt() * x + (1 - kept).sqrt() * noise
        return F.mse_loss(self.net(p, mixed, steps), noise)


def train(model):
    """Each loss of each step, before it."""
    p, curves, optimisers = Parameters(), {}, None
    losses = getattr(model, "losses", None) or (
        lambda p, step, chosen: iter([("loss", model.loss(p, step, chosen))]))
    for step, chosen in batches(getattr(model, "full", False)):
        if optimisers is None:
            list(losses(p, step, chosen))  # draws all parameters
            groups = model.groups(p) if hasattr(model, "groups") else [list(p.values())]
            betas = getattr(model, "betas", (0.9, 0.999))
            optimisers = [torch.optim.Adam(g, model.rate, betas) for g in groups]
        for optimiser, (name, loss) in zip(optimisers, losses(p, step, chosen)):
            for parameter in p.values():
                parameter.grad = None
            loss.backward()
            optimiser.step()
            curves.setdefault(name, []).append(loss.item())
    return curves


def main():
    path, check = HERE / "curves.json", "--check" in sys.argv
    written = json.loads(path.read_text()) if check else {}
    models = {}
    for model in (Autoencoder(), Vae(), PixelCnn(), Gan(), Diffusion()):
        curves = train(model)
        parameters = model.spec | TRAINING | {"learning_rate": model.rate}
        rounded = {k: [float(f"{x:.6g}") for x in v] for k, v in curves.items()}
        models[model.kind] = {"parameters": parameters, "curves": rounded}
        for name, curve in curves.items():
            line = f"{model.kind} {name}: {curve[0]:.5g} to {curve[-1]:.5g}"
            if check:
                old = written[model.kind]["curves"][name]
                line += f", off by {max(abs(a - b) / abs(b) for a, b in zip(old, curve)):.1e}"
            print(line)
    if not check:
        path.write_text(json.dumps(models, separators=(",", ":")) + "\n")


main()
