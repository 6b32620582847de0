"""What a run shows while it goes on: a progress bar, metrics.csv and TensorBoard scalars."""

from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from darac_tf.training.metrics_file import MetricsFile


class Monitor:
    """Progress bar (images/s, loss, time left), metrics.csv and TensorBoard events of a run.

    Args:
        run_dir: Run directory; events go to its `tensorboard`.
        config: `TrainConfig`.
        optimizer: `GroupedOptimizer`, for its learning rate.
        step: The step the run goes on from; 0 for a new one.
    """

    def __init__(self, run_dir, config, optimizer, step=0):
        self._file = MetricsFile(run_dir, step)
        self._log_every = config.log_every
        self._optimizer = optimizer
        self._writer = tf.summary.create_file_writer(str(Path(run_dir) / "tensorboard"))
        self._bar = None
        self._total = config.steps
        self._images = 0
        self._seconds = 0.0

    def step(self, step, loss, gradient_norm, images, seconds):
        """Reports one step: its loss, gradient norm, number of images and time."""
        if self._bar is None:
            self._bar = tqdm(
                total=self._total, initial=step - 1, desc="train", unit="step", mininterval=1.0
            )
        self._images += images
        self._seconds += seconds
        self._bar.update(1)
        self._file.write(step, {"loss": loss, "gradient_norm": gradient_norm})
        if step % self._log_every and step != self._total:
            return
        rate = self._images / self._seconds
        self._bar.set_postfix_str(f"loss {loss:.4f}, {rate:.1f} images/s")
        scalars = {
            "train/loss": loss,
            "train/gradient_norm": gradient_norm,
            "train/images_per_second": rate,
            "train/learning_rate": float(self._optimizer.backbone.learning_rate),
        }
        self._write(step, scalars)
        self._images, self._seconds = 0, 0.0

    def validation(self, step, scores):
        """Reports validation scores, a dictionary of metric name to mean."""
        named = {f"validation/{name}": float(value) for name, value in scores.items()}
        self._write(step, named)
        self._file.write(step, named)
        text = ", ".join(f"{name} {100 * value:.2f}" for name, value in scores.items())
        tqdm.write(f"step {step}: validation {text}")

    def flush(self):
        """Writes what is left to metrics.csv."""
        self._file.flush()

    def close(self):
        """Ends the bar and writes what is left."""
        self._file.close()
        if self._bar is not None:
            self._bar.close()
        self._writer.close()

    def _write(self, step, scalars):
        with self._writer.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()
