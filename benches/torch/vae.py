"""The VAE of 784, 400 and 20, with the loss per image."""
import torch, torch.nn as nn, torch.nn.functional as F
from steps import adam, descend, measure

BATCH = 128


class Vae(nn.Module):
    def __init__(self, pixels=784, hidden=400, latent=20):
        super().__init__()
        self.encoder = nn.Linear(pixels, hidden)
        self.mean, self.log_variance = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def loss(self, x):
        h = F.relu(self.encoder(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        likelihood = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (likelihood + divergence) / BATCH


def make(_):
    model, x = Vae(), (torch.rand(BATCH, 784) > 0.5).float()
    optimiser = adam(model)
    return lambda: descend(optimiser, model.loss(x))


measure(BATCH, make)
