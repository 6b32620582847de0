"""Small networks of PyTorch in the layouts of others, with random weights.

    python -m tests.published.torch_models

writes the files beside this one, and what these networks make of `images()`: for tests where
PyTorch is not installed.
"""

from collections import OrderedDict
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
SIZES = ((64, 96), (75, 40))
# Of the first size: sides stay whole, so that they are those of PyTorch.
SCALES = (1, 0.75, 0.5)
BLOCKS = {"resnet50": (3, 4, 6, 3)}
COLOURS = {"mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}


def images(size):
    """RGB in [0, 255], `(2, height, width, 3)`."""
    return np.random.default_rng(sum(size)).uniform(0, 255, (2, *size, 3)).astype(np.float32)


def make_resnet(width):
    """A ResNet50 of version 1.5 as torchvision names it, up to its feature maps."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, channels, narrow, stride):
            super().__init__()
            self.conv1, self.bn1 = (
                nn.Conv2d(channels, narrow, 1, bias=False),
                nn.BatchNorm2d(narrow),
            )
            self.conv2 = nn.Conv2d(narrow, narrow, 3, stride, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(narrow)
            self.conv3 = nn.Conv2d(narrow, 4 * narrow, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(4 * narrow)
            self.downsample = None
            if stride != 1 or channels != 4 * narrow:
                around = nn.Conv2d(channels, 4 * narrow, 1, stride, bias=False)
                self.downsample = nn.Sequential(around, nn.BatchNorm2d(4 * narrow))

        def forward(self, x):
            start = x if self.downsample is None else self.downsample(x)
            x = torch.relu(self.bn1(self.conv1(x)))
            x = torch.relu(self.bn2(self.conv2(x)))
            return torch.relu(self.bn3(self.conv3(x)) + start)

    network = OrderedDict(
        conv1=nn.Conv2d(3, width, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    channels = width
    for stage, blocks in enumerate(BLOCKS["resnet50"]):
        narrow, layer = width * 2**stage, []
        for block in range(blocks):
            layer.append(Block(channels, narrow, 2 if stage and not block else 1))
            channels = 4 * narrow
        network[f"layer{stage + 1}"] = nn.Sequential(*layer)
    network = nn.Sequential(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.2)
            module.bias.data.normal_(0, 0.1)
    return network.eval(), channels


def regions(height, width, levels=3):
    """Rows and columns of cirtorch's regions on a map, the whole map first."""
    short, long = min(height, width), max(height, width)
    steps = np.arange(2, 8)
    overlap = np.abs((short**2 - short * (long - short) / (steps - 1)) / short**2 - 0.4)
    more = int(np.argmin(overlap)) + 1 if height != width else 0
    found = [(0, 0, height, width)]
    for level in range(1, levels + 1):
        side = int(np.floor(2 * short / (level + 1)))
        starts = []
        for length in (height, width):
            count = level + (more if length == long and height != width else 0)
            step = 0.0 if count == 1 else (length - side) / (count - 1)
            half = np.floor(side / 2 - 1)
            starts.append((np.floor(half + np.arange(count) * step) - half).astype(int))
        found += [(y, x, side, side) for y in starts[0] for x in starts[1] if side]
    return found


def unit(x, axis=1):
    import torch

    return x / (torch.linalg.vector_norm(x, dim=axis, keepdim=True) + 1e-6)


def gem(x, p):
    return x.clamp(min=1e-6).pow(p).mean((2, 3)).pow(1.0 / p)


def run(network, size, describe):
    """Descriptors of `images(size)` as NumPy arrays."""
    import torch

    pixels = images(size) / 255.0
    pixels = (pixels - np.array(COLOURS["mean"])) / np.array(COLOURS["std"])
    with torch.no_grad():
        maps = network(torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)))
        return describe(maps).numpy()


def run_several(network, describe, exponent=1.0):
    """Descriptors of images of the first size at `SCALES`, as `extract_ms` of cirtorch."""
    import torch
    from torch.nn.functional import interpolate

    pixels = images(SIZES[0]) / 255.0
    pixels = (pixels - np.array(COLOURS["mean"])) / np.array(COLOURS["std"])
    pixels = torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        found = 0
        for scale in SCALES:
            x = pixels
            if scale != 1:
                x = interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            found = found + describe(network(x)).pow(exponent)
        found = (found / len(SCALES)).pow(1.0 / exponent)
        return (found / torch.linalg.vector_norm(found, dim=1, keepdim=True)).numpy()


def whitened(vectors, mean, projection):
    """As `whitenapply` of cirtorch, of rows."""
    found = (vectors - np.ravel(mean)) @ projection.T
    return found / (np.linalg.norm(found, axis=1, keepdims=True) + 1e-6)


def make_cirtorch(pooling, regional, whitening, seed):
    """Of cnnimageretrieval-pytorch: `(content, descriptors at SIZES, at SCALES)`.

    At `SCALES` they are whitened by `Lw`, where the file has it.
    """
    import torch
    from torch import nn

    torch.manual_seed(seed)
    network, channels = make_resnet(2)
    exponent = torch.tensor([2.6])
    layer = nn.Linear(channels, channels if regional else 24)

    def pooled(x):
        return gem(x, exponent) if pooling == "gem" else x.amax((2, 3))

    def describe(maps):
        if regional:
            parts = [
                unit(layer(unit(pooled(maps[:, :, y : y + h, x : x + w]))))
                for y, x, h, w in regions(*maps.shape[2:])
            ]
            return unit(sum(parts))
        vectors = unit(pooled(maps))
        return unit(layer(vectors)) if whitening else vectors

    names = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}
    state = OrderedDict()
    for name, tensor in network.state_dict().items():
        first, rest = name.split(".", 1)
        state[f"features.{names[first]}.{rest}"] = tensor
    if pooling == "gem":
        state["pool.rpool.p" if regional else "pool.p"] = exponent
    if regional or whitening:
        start = "pool.whiten" if regional else "whiten"
        state |= {f"{start}.{part}": tensor.data for part, tensor in layer.named_parameters()}
    rng = np.random.default_rng(seed)
    learned = {
        sizes: {
            "m": 0.1 * rng.normal(size=(channels, 1)),
            "P": rng.normal(size=(kept, channels)).astype(np.float32),
        }
        for sizes, kept in (("ss", channels), ("ms", 12))
    }
    meta = {"architecture": "resnet50", "local_whitening": False, "pooling": pooling}
    meta |= {"regional": regional, "whitening": whitening, "outputdim": channels, **COLOURS}
    meta["Lw"] = {} if whitening or regional else {"retrieval-SfM-120k": learned}
    content = {"epoch": 3, "meta": meta, "state_dict": state}
    is_plain = pooling == "gem" and not (regional or whitening)
    several = run_several(network, describe, exponent.item() if is_plain else 1.0)
    if meta["Lw"]:
        several = whitened(several, learned["ms"]["m"], learned["ms"]["P"])
    return content, [run(network, size, describe) for size in SIZES], several


def make_dirtorch(seed):
    """Of deep-image-retrieval: `(content, descriptors at SIZES, at SCALES and whitened)`."""
    import torch
    from sklearn.decomposition import PCA
    from torch import nn

    torch.manual_seed(seed)
    network, channels = make_resnet(2)
    exponent, layer = torch.tensor([3.2]), nn.Linear(channels, 16)
    state = OrderedDict((f"module.{n}", t) for n, t in network.state_dict().items())
    state["module.adpool.p"] = exponent
    state |= {f"module.fc.{n}": t.data for n, t in layer.named_parameters()}
    pca = PCA(8, whiten=True, svd_solver="full")
    pca.fit(np.random.default_rng(seed).normal(size=(40, 16)))
    options = {"arch": "resnet50_rmac", "out_dim": 16, "pooling": "gem", "gemp": 3}
    content = {"model_options": options, "state_dict": state, "pca": {"Landmarks_clean": pca}}
    content["preprocess"] = dict(COLOURS, input_size=224)

    def describe(maps):
        return unit(layer(gem(maps, exponent)))

    # As `whiten_features` of its common.py.
    projection = pca.components_ / pca.explained_variance_[:, np.newaxis] ** 0.25
    several = whitened(run_several(network, describe), pca.mean_, projection)
    return content, [run(network, size, describe) for size in SIZES], several


STORED = {
    "cirtorch_gem": lambda: make_cirtorch("gem", False, False, 0),
    "cirtorch_gem_regional": lambda: make_cirtorch("gem", True, False, 1),
    "dirtorch": lambda: make_dirtorch(2),
}
# More, where PyTorch is installed.
MADE = {
    "cirtorch_gem_whiten": lambda: make_cirtorch("gem", False, True, 3),
    "cirtorch_mac": lambda: make_cirtorch("mac", False, False, 4),
    "cirtorch_mac_regional": lambda: make_cirtorch("mac", True, False, 5),
}


def main():
    import torch

    for name, make in STORED.items():
        content, descriptors, several = make()
        torch.save(content, FOLDER / f"{name}.pth")
        np.savez_compressed(FOLDER / f"{name}.npz", *descriptors, several=several)


if __name__ == "__main__":
    main()
