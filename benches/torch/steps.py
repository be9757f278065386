"""Times training steps of a model in PyTorch on the CPU and prints one JSON line.

usage of the scripts that call it: SCRIPT THREADS STEPS nchw|channels_last
"""
import json, resource, sys, time
import torch, torch.nn.functional as F

BATCH = 64


def measure(build, noise):
    threads, steps, layout = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    model, x = build(), torch.rand(BATCH, 3, 32, 32) * 2 - 1
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    opt = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    seconds = []
    for _ in range(steps + 1):
        t = time.perf_counter()
        z = model.enc(x)
        loss = F.mse_loss(model.dec(z + noise(z)), x)
        opt.zero_grad()
        loss.backward()
        opt.step()
        loss.item()
        seconds.append(time.perf_counter() - t)
    print(json.dumps({
        "images_per_s": BATCH / min(seconds[1:]),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}))
