"""Everything the demo depends on; what is trained was chosen on other seeds than it is shown on."""

from dataclasses import dataclass

from darac_tf.settings import check_settings, setting


@dataclass(frozen=True)
class DemoConfig:
    """Settings of the demo on drawn landmarks."""

    out: str = setting("runs/demo", "Folder of the page; models and images are in OUT-files.")
    seed: int = setting(0, "Of the landmarks, their split and the training.", low=0)
    backbone: str = setting("EfficientNetLite0", "As of darac train.")
    layer: str = setting("conv_head", "The first layer that is trained.")
    trained_classes: int = setting(36, "Landmarks to train on.", low=2)
    whitening_classes: int = setting(28, "Others to learn whitening on.", low=2)
    tested_classes: int = setting(36, "Others to measure on.", low=2)
    views: int = setting(5, "Images of each.", low=2)
    image_size: int = setting(299, "Their side in pixels.", low=32)
    steps: int = setting(200, "Of the training.", low=21)
    classes_per_batch: int = setting(8, "P of P x K batches.", low=2)
    images_per_class: int = setting(3, "K of P x K batches.", low=2)
    learning_rate: float = setting(1e-3, "Peak, of the last layers.", above=0)
    rank: str = setting("gaussian", "NRA: approximated rank.", choices=["soft", "gaussian"])
    whiten_dim: int = setting(512, "Dimensions after whitening by pairs.", low=1)
    whiten_shrinkage: float = setting(0.9, "Of what differs within a landmark.", low=0, high=1)

    def __post_init__(self):
        """Raises `UserError` naming the first flag that can't be."""
        check_settings(self)
