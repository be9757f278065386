"""Records what the programs that others measure with say, for `parity.rs`.

    pip install torch torchvision numpy scipy scikit-image safetensors pillow
    pip install --no-deps pytorch-fid torch-fidelity clean-fid
    python record.py            # writes inception.safetensors and values.json

No weights are downloaded: Inception's are made by the formula below, which
`formula.rs` computes too, and so are all images, vectors and logits. Made with
torch 2.15.0, torchvision 0.29.2, pytorch-fid 0.3.0, torch-fidelity 0.4.0,
clean-fid 0.1.35, scipy 1.17.1, scikit-image 0.26.0, pillow 13.0.0.
"""

import importlib.util
import json
import math
import os
import sys
import tempfile
import types

import numpy as np
import torch
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MASK = (1 << 64) - 1


def hashed(key, count):
    """`count` values in [0, 1) of 24 bits: splitmix64 of key·2³² + index."""
    z = np.arange(count, dtype=np.uint64) + np.uint64((key << 32) & MASK)
    with np.errstate(over="ignore"):
        z = z * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / float(1 << 24)


def signed(key, count):
    return 2.0 * hashed(key, count) - 1.0


def weights(shapes):
    """Of all tensors, in PyTorch's order; that is the key of each."""
    state = {}
    for index, (name, shape) in enumerate(shapes):
        count = math.prod(shape)
        if name.endswith("conv.weight"):
            fan_in = math.prod(shape[1:])
            values = signed(index, count) * math.sqrt(6.0 / fan_in)
        elif name == "fc.weight":
            values = signed(index, count) * math.sqrt(3.0 / shape[1])
        elif name.endswith("bn.weight") or name.endswith("running_var"):
            values = 0.75 + 0.5 * hashed(index, count)
        else:
            values = 0.2 * signed(index, count)
        state[name] = values.astype(np.float32).reshape(shape)
    return state


def image(key, side):
    """[3, side, side] of 8 bits: waves with noise."""
    y, x, c = np.meshgrid(np.arange(side), np.arange(side), np.arange(3), indexing="ij")
    wave = (x * (3 + key) + y * (5 + 2 * c) + 40 * c + 17 * key) % 256
    noise = hashed(1000 + key, 3 * side * side).reshape(3, side, side)
    return ((wave.transpose(2, 0, 1) + np.floor(64.0 * noise)) % 256).astype(np.uint8)


def vectors(key, n, width, scale, shift):
    values = signed(2000 + key, n * width) * scale + shift
    return values.astype(np.float32).reshape(n, width)


def modules():
    """Both Inceptions, with the weights of the formula."""
    from pytorch_fid import inception as theirs
    from torch_fidelity import feature_extractor_inceptionv3 as others

    plain = theirs._inception_v3(num_classes=1008, aux_logits=False, weights=None)
    shapes = [(k, tuple(v.shape)) for k, v in plain.state_dict().items()]
    shapes = [(k, s) for k, s in shapes if not k.endswith("num_batches_tracked")]
    state = {k: torch.from_numpy(v) for k, v in weights(shapes).items()}
    counters = {
        k: v for k, v in plain.state_dict().items() if k.endswith("num_batches_tracked")
    }
    theirs.load_state_dict_from_url = lambda *_, **__: {**state, **counters}
    network = theirs.fid_inception_v3().eval()
    theirs.fid_inception_v3 = lambda: network
    fid = theirs.InceptionV3([3]).eval()
    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save(state, file.name)
        others.FeatureExtractorInceptionV3.load_state_dict = (
            lambda self, s: torch.nn.Module.load_state_dict(self, s, strict=False)
        )
        fidelity = others.FeatureExtractorInceptionV3(
            "parity", ["2048", "logits_unbiased"], feature_extractor_weights_path=file.name
        )
    return shapes, network, fid, fidelity


def clean_resizer():
    """clean-fid's, without the rest of it, which wants `requests`."""
    import PIL.Image as pillow

    # Pillow 13 has no argument `mode`; of f32 it is "F" without it.
    fromarray = pillow.fromarray
    pillow.fromarray = lambda array, mode=None: fromarray(array)
    place = importlib.util.find_spec("cleanfid").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("resize", os.path.join(place, "resize.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_resizer("clean")


def main():
    torch.set_num_threads(2)
    arrays, values = {}, {}
    shapes, network, fid, fidelity = modules()
    images = np.stack([image(key, 32) for key in range(6)])
    with torch.no_grad():
        x = torch.from_numpy(images).float() / 255
        features = fid(x)[0].flatten(1)
        logits = features @ network.fc.weight.T
        arrays["pytorch_fid.features"] = features.numpy()
        arrays["pytorch_fid.logits"] = logits.numpy()
        tf_features, tf_logits = fidelity(torch.from_numpy(images[:3]))
        arrays["torch_fidelity.features"] = tf_features.numpy()
        arrays["torch_fidelity.logits"] = tf_logits.numpy()
        resize = clean_resizer()
        # One that grows, and one that shrinks.
        for side, key in [(32, 3), (340, 4)]:
            resized = resize(image(key, side).transpose(1, 2, 0)).transpose(2, 0, 1)
            x = (torch.from_numpy(np.ascontiguousarray(resized))[None] - 128) / 128
            fid.resize_input = fid.normalize_input = False
            arrays[f"clean_fid.{side}"] = fid(x)[0].flatten(1).numpy()
    from pytorch_fid.fid_score import calculate_frechet_distance
    from torch_fidelity import metric_fid, metric_isc

    def moments(features):
        features = np.asarray(features, dtype=np.float64)
        return features.mean(axis=0), np.cov(features, rowvar=False)

    def both(a, b):
        (m1, s1), (m2, s2) = moments(a), moments(b)
        theirs = float(calculate_frechet_distance(m1, s1, m2, s2))
        one, two = ({"mu": m, "sigma": s} for m, s in ((m1, s1), (m2, s2)))
        others = metric_fid.fid_statistics_to_metric(one, two, False)
        return [theirs, float(next(iter(others.values())))]

    half = arrays["pytorch_fid.features"]
    values["fid"] = both(half[:3], half[3:])
    # More vectors than dimensions, as many, and fewer.
    values["frechet"] = [
        both(vectors(0, n, 48, 1.0, 0.0), vectors(1, n, 48, 1.7, 0.2)) for n in (400, 49, 20)
    ]

    def isc(logits, splits):
        made = metric_isc.isc_features_to_metric(
            torch.from_numpy(logits), splits=splits, shuffle=False
        )
        return [made["inception_score_mean"], made["inception_score_std"]]

    values["isc"] = {
        "images": isc(arrays["pytorch_fid.logits"], 2),
        "formula": isc(vectors(2, 57, 30, 4.0, 0.0), 10),
    }
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    values["ssim"], values["psnr"] = {}, {}
    for side in (7, 8, 10, 11, 16, 32):
        a, b = (image(key, side).astype(np.float64) / 255 for key in (7, 8))
        b = 0.75 * a + 0.25 * b
        window = {"gaussian_weights": True, "sigma": 1.5} if side >= 11 else {"win_size": 7}
        values["ssim"][side] = structural_similarity(
            a, b, data_range=1, channel_axis=0, use_sample_covariance=False, **window
        )
        values["psnr"][side] = float(peak_signal_noise_ratio(a, b, data_range=1))
    values["tensors"] = [[name, list(shape)] for name, shape in shapes]
    save_file(arrays, os.path.join(HERE, "inception.safetensors"))
    with open(os.path.join(HERE, "values.json"), "w") as file:
        json.dump(values, file, separators=(",", ":"))
        file.write("\n")
    print(json.dumps({k: v for k, v in values.items() if k != "tensors"}, indent=1))
    print({k: (v.shape, float(v.mean()), float(v.std())) for k, v in arrays.items()})


main()
