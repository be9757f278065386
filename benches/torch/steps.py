"""Times training steps of a model in PyTorch on the CPU and prints one JSON line.

usage of the scripts that call it: SCRIPT THREADS STEPS nchw|channels_last
"""
import json, resource, sys, time
import torch, torch.nn.functional as F

SECONDS = 1.0


def measure(batch, make):
    """`make(prepare)` gives a function that takes one step and returns the loss;
    `prepare` puts a network or a batch of images into the layout."""
    threads, steps, layout = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.manual_seed(0)
    torch.set_num_threads(threads)

    def prepare(x):
        if layout == "nchw":
            return x
        if isinstance(x, torch.nn.Module):
            return x.to(memory_format=torch.channels_last)
        return x.contiguous(memory_format=torch.channels_last)

    step = make(prepare)
    step().item()
    best, taken, begin = float("inf"), 0, time.perf_counter()
    while taken < steps or time.perf_counter() - begin < SECONDS:
        start = time.perf_counter()
        step().item()
        best = min(best, time.perf_counter() - start)
        taken += 1
    print(json.dumps({
        "images_per_s": batch / best,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))


def adam(model, rate=1e-3, betas=(0.9, 0.999)):
    return torch.optim.Adam(model.parameters(), lr=rate, betas=betas, fused=True)


def descend(optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return loss


def autoencoder(build, noise, image=(3, 32, 32), batch=64):
    """Latents, noise, images, mean squared error."""
    def make(prepare):
        model, x = prepare(build()), prepare(torch.rand(batch, *image) * 2 - 1)
        optimiser = adam(model)

        def step():
            z = model.enc(x)
            return descend(optimiser, F.mse_loss(model.dec(z + noise(z)), x))
        return step
    measure(batch, make)


def triangular(z):
    u = torch.rand_like(z) * 2 - 1
    return torch.sign(u) * (1 - torch.sqrt(torch.abs(u)))
