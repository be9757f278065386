"""Fits y = 2x + 1 by gradient descent, as a program of one's own for `command`."""

import json
import os
import random

param = json.load(open(os.environ["ABLATE_PARAMS"]))
metrics = open(os.environ["ABLATE_METRICS"], "a", buffering=1)
saved = os.path.join(os.environ["ABLATE_CHECKPOINT"], "state.json")
random.seed(int(os.environ["ABLATE_SEED"]))
data = [(x, 2 * x + 1 + random.gauss(0, param["noise"])) for x in (i / 50 - 1 for i in range(100))]
a, b, first = json.load(open(saved)) if os.path.exists(saved) else (0.0, 0.0, 0)
for step in range(first, param["steps"]):
    errors = [(a * x + b - y, x) for x, y in data]
    if step % 5 == 0:
        loss = sum(e * e for e, _ in errors) / len(errors)
        print(json.dumps({"name": "loss", "step": step, "value": loss}), file=metrics)
        print(json.dumps({"progress": step, "total": param["steps"]}), file=metrics)
        json.dump((a, b, step), open(saved + ".tmp", "w"))
        os.replace(saved + ".tmp", saved)
    a -= param["lr"] * sum(e * x for e, x in errors) / len(errors)
    b -= param["lr"] * sum(e for e, _ in errors) / len(errors)
error = {"name": "slope_error", "value": abs(a - 2), "direction": "down"}
print(json.dumps(error), file=metrics)
json.dump({"a": a, "b": b}, open(os.path.join(os.environ["ABLATE_OUTPUT"], "line.json"), "w"))
