"""torchvision's ResNet50 with GeM, as the code that most papers build on describes images."""

from benchmarks.peers.contest import needed
from benchmarks.peers.torchvision_parts import best_device, gem, resnet50_maps


class TorchvisionGeM:
    """Files, Pillow's decoder and resize, network, GeM, L2; one image at a time, as sizes differ.

    Several sizes are scales of the largest, each resized by the network's framework, as the papers'
    code has it: 1, 1/sqrt(2) and 1/2 of it.
    """

    def __init__(self, paths, precision):
        self._torch, self._precision, self._device = needed("torch"), precision, best_device()
        self._network = resnet50_maps(self._device).eval()
        self._paths = paths

    def run(self, sizes, count):
        from torch.utils.data import DataLoader

        scales = [1.0] if len(sizes) == 1 else [1.0, 2**-0.5, 0.5]
        images = DataLoader(
            _Files(self._paths[:count], max(sizes)),
            batch_size=None,
            num_workers=2,
            prefetch_factor=4,
            multiprocessing_context="fork",
        )
        with self._torch.inference_mode():
            vectors = [self._vector(image[None].to(self._device), scales) for image in images]
            return self._torch.cat(vectors).cpu().numpy()

    def _vector(self, image, scales):
        torch, functional = self._torch, self._torch.nn.functional
        total = 0.0
        for scale in scales:
            scaled = image
            if scale != 1:
                scaled = functional.interpolate(
                    image, scale_factor=scale, mode="bilinear", align_corners=False
                )
            scaled = scaled.contiguous(memory_format=torch.channels_last)
            is_narrow = self._precision == "bfloat16"
            with torch.autocast(self._device, torch.bfloat16, enabled=is_narrow):
                maps = self._network(scaled).float()
            total = total + functional.normalize(gem(maps, 3))
        return functional.normalize(total)


class _Files:
    def __init__(self, paths, long_side):
        from torchvision import transforms

        self._paths, self._long_side = paths, long_side
        self._transform = transforms.Compose(
            [
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, place):
        from PIL import Image

        if place >= len(self._paths):
            raise IndexError(place)
        image = Image.open(self._paths[place]).convert("RGB")
        ratio = self._long_side / max(image.size)
        size = [round(side * ratio) for side in image.size]
        return self._transform(image.resize(size, Image.BILINEAR))
