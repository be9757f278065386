"""BL-AE with two 4x4 convolutions of stride 2, one of 3x3, and a mirrored decoder."""
import torch, torch.nn as nn
from steps import autoencoder


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        act = lambda: nn.LeakyReLU(0.01)
        self.enc = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1), act(), nn.Conv2d(64, 128, 4, 2, 1), act(),
            nn.Conv2d(128, 256, 3, 1, 1), act(), nn.Conv2d(256, 32, 1), nn.Tanh())
        self.dec = nn.Sequential(
            nn.Conv2d(32, 256, 1), act(), nn.Conv2d(256, 128, 3, 1, 1), act(),
            nn.ConvTranspose2d(128, 64, 4, 2, 1), act(), nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh())


autoencoder(Autoencoder, lambda z: 0.1 * torch.randn_like(z))
