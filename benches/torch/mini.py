"""The quickstart's autoencoder: 8x8 images, 4x4 latents of 8 bits."""
import torch, torch.nn as nn
from steps import autoencoder, triangular


class Autoencoder(nn.Module):
    def __init__(self, wide=64, bits=8):
        super().__init__()
        act = lambda: nn.LeakyReLU(0.01)
        self.enc = nn.Sequential(
            nn.Conv2d(1, 24, 4, 2, 1), act(), nn.Conv2d(24, wide, 1), nn.Conv2d(wide, bits, 1), nn.Tanh())
        self.dec = nn.Sequential(
            nn.Conv2d(bits, wide, 1), nn.Conv2d(wide, 48, 1), act(),
            nn.ConvTranspose2d(48, 32, 3, 1, 1), act(), nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
            nn.Conv2d(1, 16, 3, 1, 1), act(), nn.Conv2d(16, 1, 3, 1, 1))


autoencoder(Autoencoder, triangular, image=(1, 8, 8))
