"""What the contestants of torchvision share."""

from benchmarks.peers.contest import needed


def resnet50_maps(device):
    """torchvision's ResNet50 up to its feature maps, random weights, channels last.

    Raises:
        AbsentError: If torch or torchvision is not installed.
    """
    torch, torchvision = needed("torch"), needed("torchvision")
    torch.manual_seed(0)
    layers = list(torchvision.models.resnet50(weights=None).children())[:-2]
    return torch.nn.Sequential(*layers).to(device, memory_format=torch.channels_last)


def best_device():
    """`cuda` where there is one, else `cpu`."""
    return "cuda" if needed("torch").cuda.is_available() else "cpu"


def gem(maps, power):
    """Generalised mean of maps `(batch, channels, height, width)`: `(batch, channels)`."""
    return maps.clamp(min=1e-6).pow(power).mean(dim=(-2, -1)).pow(1 / power)
