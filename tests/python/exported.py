"""Reads an exported autoencoder as the README has it, encodes the training
images with numpy, and compares the signs of the latents with the tokens that
the `encode` task left. Arguments: the exported file, dataset.safetensors,
codes.safetensors."""

import json
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file

model, dataset, codes = sys.argv[1:]
state = load_file(model)
with safe_open(model, "np") as file:
    metadata = file.metadata()
arch = json.loads(metadata["arch"])
assert metadata["family"] == "autoencoder", metadata

# Shapes as PyTorch has them.
depth = len(arch["channels"])
widths = [arch["image"][0], *arch["channels"]]
for i in range(depth):
    assert state[f"encoder.{i}.weight"].shape == (widths[i + 1], widths[i], 4, 4)
assert state[f"encoder.{depth}.weight"].shape == (arch["wide"], widths[-1])
assert state["decoder.2.weight"].shape == (arch["decoder_in"], arch["decoder_front"], 3, 3)


def conv2d(x, weight, bias, stride, padding):
    """torch.nn.functional.conv2d"""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    windows = windows[:, :, ::stride, ::stride]
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]


def leaky_relu(x):
    return np.where(x > 0, x, 0.01 * x)


z = load_file(dataset)["train"].astype(np.float64)
for i in range(depth):
    z = leaky_relu(conv2d(z, state[f"encoder.{i}.weight"], state[f"encoder.{i}.bias"], 2, 1))
z = z.transpose(0, 2, 3, 1)
for i in range(depth, depth + 2):
    z = z @ state[f"encoder.{i}.weight"].T + state[f"encoder.{i}.bias"]
    if i == depth and arch["extra_act"]:
        z = leaky_relu(z)

tokens = load_file(codes)["tokens"]
ours = (tokens[..., None] >> np.arange(arch["latent_channels"])) & 1
assert ours.shape == z.shape, (ours.shape, z.shape)
# In f32 a latent this close to zero may have either sign.
clear = np.abs(z) > 1e-4
assert clear.mean() > 0.99, clear.mean()
assert ((z >= 0) == ours)[clear].all(), "another encoder than ours"
assert 0.1 < ours.mean() < 0.9, "signs that say nothing"
print(f"{clear.sum()} signs of {len(z)} images agree")
