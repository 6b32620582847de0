"""A training step as the code that most papers build on makes it, in PyTorch."""

import math

from benchmarks.measuring import random_batch
from benchmarks.peers.contest import needed
from benchmarks.peers.torchvision_parts import best_device, gem, resnet50_maps

_MARGIN = 0.2
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class TorchvisionStep:
    """ResNet50, GeM with its power learned, L2, batch hard triplets of cosines, AdamW, float32.

    Batch normalisation is frozen, as in that code, and as in the step that it is compared with.
    """

    def __init__(self, count, side):
        torch = needed("torch")
        self._torch, device = torch, best_device()
        self._network = resnet50_maps(device).train()
        for layer in self._network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.eval()
        self._power = torch.nn.Parameter(torch.tensor(3.0, device=device))
        self._optimizer = torch.optim.AdamW([*self._network.parameters(), self._power], lr=1e-5)
        images, labels = random_batch(count, side)
        images = torch.from_numpy(images).permute(0, 3, 1, 2)
        self._images = images.to(device, memory_format=torch.channels_last)
        self._labels = torch.from_numpy(labels).to(device)
        self._mean, self._std = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (_MEAN, _STD)
        )

    def run(self):
        self._optimizer.zero_grad(set_to_none=True)
        pixels = (self._images / 255 - self._mean) / self._std
        vectors = gem(self._network(pixels), self._power)
        loss = hard_triplets(self._torch.nn.functional.normalize(vectors), self._labels)
        loss.backward()
        self._optimizer.step()
        # Of the weights after the step, or a GPU would still be at it.
        if not math.isfinite(loss.item() + self._power.item()):
            raise FloatingPointError("the loss is not finite")


def hard_triplets(vectors, labels, margin=_MARGIN):
    """Batch hard triplet loss of cosines, in PyTorch.

    Args:
        vectors: Unit vectors `(batch, dim)`.
        labels: Integers `(batch,)`; each class comes twice, and there are two classes.
        margin: By how much the cosine with an image's least similar of its class shall exceed that
            with the most similar of another.

    Returns:
        Scalar, the mean of what is lacking.
    """
    cosines = vectors @ vectors.T
    same = labels[:, None] == labels[None]
    positive = cosines.masked_fill(~same, 2.0).amin(dim=1)
    negative = cosines.masked_fill(same, -2.0).amax(dim=1)
    return (margin + negative - positive).clamp(min=0).mean()
