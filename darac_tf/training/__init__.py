"""Training: settings, step, loop, checkpoints, validation."""

from darac_tf.training.config import TrainConfig
from darac_tf.training.run import train

__all__ = ["TrainConfig", "train"]
