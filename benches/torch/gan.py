"""GMM-GAN on 3,072 pixels with 1,000 components: a step of the generator, then
one of the discriminator on the same fakes."""
import torch, torch.nn as nn, torch.nn.functional as F
from steps import adam, descend, measure

BATCH, LATENT, PIXELS, COMPONENTS = 64, 100, 3072, 1000


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.means, self.deviations = nn.Embedding(COMPONENTS, LATENT), nn.Embedding(COMPONENTS, LATENT)
        nn.init.constant_(self.deviations.weight, torch.log(torch.tensor(0.1)).item())
        layers, inputs = [], LATENT
        for width in (128, 256, 512, 1024):
            layers.append(nn.Linear(inputs, width))
            if inputs != LATENT:
                layers.append(nn.BatchNorm1d(width))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            inputs = width
        self.net = nn.Sequential(*layers, nn.Linear(inputs, PIXELS), nn.Tanh())

    def forward(self, components, noise):
        return self.net(self.means(components) + torch.exp(self.deviations(components)) * noise)


def make(_):
    act = lambda: nn.LeakyReLU(0.2, inplace=True)
    generator = Generator()
    discriminator = nn.Sequential(
        nn.Linear(PIXELS, 512), act(), nn.Linear(512, 256), act(), nn.Linear(256, 1))
    of_generator, of_discriminator = (adam(m, 2e-4, (0.5, 0.999)) for m in (generator, discriminator))
    images, real = torch.rand(BATCH, PIXELS) * 2 - 1, torch.ones(BATCH, 1)
    truth = torch.cat([real, torch.zeros(BATCH, 1)])
    loss = F.binary_cross_entropy_with_logits

    def step():
        fakes = generator(torch.randint(COMPONENTS, (BATCH,)), torch.randn(BATCH, LATENT))
        descend(of_generator, loss(discriminator(fakes), real))
        both = torch.cat([images, fakes.detach()])
        return descend(of_discriminator, loss(discriminator(both), truth))
    return step


measure(BATCH, make)
