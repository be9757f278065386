"""The autoencoder of Table 5 (4x4 latent, 8 bits a site, 22 million parameters)."""
import torch, torch.nn as nn
from steps import autoencoder, triangular


class Autoencoder(nn.Module):
    def __init__(self, wide=8196, bits=8):
        super().__init__()
        act = lambda: nn.LeakyReLU(0.01)
        self.enc = nn.Sequential(
            nn.Conv2d(3, 64, 4, 2, 1), act(), nn.Conv2d(64, 256, 4, 2, 1), act(),
            nn.Conv2d(256, 512, 4, 2, 1), act(), nn.Conv2d(512, wide, 1), nn.Conv2d(wide, bits, 1), nn.Tanh())
        self.dec = nn.Sequential(
            nn.Conv2d(bits, wide, 1), nn.Conv2d(wide, 1024, 1), act(),
            nn.ConvTranspose2d(1024, 512, 3, 1, 1), act(), nn.ConvTranspose2d(512, 256, 4, 2, 1),
            nn.ConvTranspose2d(256, 64, 4, 2, 1), nn.ConvTranspose2d(64, 3, 4, 2, 1), nn.Tanh(),
            nn.Conv2d(3, 32, 3, 1, 1), act(), nn.Conv2d(32, 3, 3, 1, 1))


autoencoder(Autoencoder, triangular)
