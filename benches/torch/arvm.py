"""The network of gamma-ARVM: 232 features of a context to a histogram over 256 tokens."""
import torch, torch.nn as nn, torch.nn.functional as F
from steps import adam, descend, measure

BATCH, FEATURES, HIDDEN, CODEBOOK, SEEN = 1024, 232, 512, 256, 4


def make(_):
    model = nn.Sequential(
        nn.Linear(FEATURES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CODEBOOK))
    optimiser = adam(model)
    features, q = torch.rand(BATCH, FEATURES) * 2 - 1, torch.zeros(BATCH, CODEBOOK)
    q.scatter_(1, torch.rand(BATCH, CODEBOOK).topk(SEEN, 1).indices, 1 / SEEN)
    weight = torch.full((BATCH,), 1 / BATCH)

    def step():
        log_p = F.log_softmax(model(features), 1)
        return descend(optimiser, (F.kl_div(log_p, q, reduction="none").sum(1) * weight).sum())
    return step


measure(BATCH, make)
