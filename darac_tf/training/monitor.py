"""What a run shows while it goes on: a progress bar, metrics.csv, TensorBoard and pictures."""

import json
from pathlib import Path

import tensorflow as tf
from tqdm import tqdm

from darac_tf.training.metrics_file import MetricsFile
from darac_tf.training.projector import write_projector

PICTURES = "pictures"
_GRID_COLUMNS, _GRID_IMAGES = 8, 48


class Monitor:
    """Progress bar (images/s, loss, time left), metrics.csv, and TensorBoard events of a run.

    Args:
        run_dir: Run directory; events go to its `tensorboard`, pictures to its `pictures`.
        config: `TrainConfig`.
        optimizer: `GroupedOptimizer`, for its learning rate.
        step: The step the run goes on from; 0 for a new one.
    """

    def __init__(self, run_dir, config, optimizer, step=0):
        self._run_dir = Path(run_dir)
        self._file = MetricsFile(run_dir, step)
        self._log_every = config.log_every
        self._optimizer = optimizer
        self._board = self._run_dir / "tensorboard"
        self._writer = tf.summary.create_file_writer(str(self._board))
        with self._writer.as_default(step):
            tf.summary.text("settings", f"```\n{json.dumps(vars(config), indent=1)}\n```")
        self._bar = None
        self._total = config.steps
        self._images = 0
        self._seconds = 0.0

    def batch(self, step, images):
        """Shows the images of a step, `(batch, size, size, 3)` in [0, 255], as a grid."""
        self._picture("train/images", step, image_grid(images[:_GRID_IMAGES], _GRID_COLUMNS))

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

    def validation(self, step, scores, validator):
        """Reports validation scores, a dictionary of metric name to mean, and what was found."""
        named = {f"validation/{name}": float(value) for name, value in scores.items()}
        self._write(step, named)
        self._file.write(step, named)
        text = ", ".join(f"{name} {100 * value:.2f}" for name, value in scores.items())
        tqdm.write(f"step {step}: validation {text}")
        path = self._run_dir / PICTURES / f"{step:06d}.png"
        validator.draw(path, f"Step {step}: {text}")
        if path.exists():
            picture = tf.io.decode_png(path.read_bytes(), channels=3)
            self._picture("validation/rankings", step, picture)
        write_projector(self._board, validator.descriptors, validator.images)

    def flush(self):
        """Writes what is left to metrics.csv."""
        self._file.flush()

    def close(self):
        """Ends the bar and writes what is left."""
        if self._bar is not None:
            self._bar.close()
        self._writer.close()
        self._file.close()

    def _write(self, step, scalars):
        with self._writer.as_default(step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
        self._writer.flush()

    def _picture(self, name, step, picture):
        with self._writer.as_default(step):
            tf.summary.image(name, picture[tf.newaxis])


class SilentMonitor:
    """Shows and writes nothing: of workers that are not the chief."""

    def batch(self, step, images):
        pass

    def step(self, step, loss, gradient_norm, images, seconds):
        pass

    def flush(self):
        pass

    def close(self):
        pass


def image_grid(images, columns):
    """Puts images of one size side by side, row by row.

    Args:
        images: `(n, height, width, 3)` in [0, 255], n at least 1.
        columns: Images a row, at most.

    Returns:
        uint8 `(rows * height, columns * width, 3)`; black where images are missing.
    """
    pixels = tf.cast(tf.clip_by_value(tf.round(images), 0, 255), tf.uint8)
    count, height, width, _ = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    padded = tf.pad(pixels, [[0, rows * columns - count], [0, 0], [0, 0], [0, 0]])
    grid = tf.reshape(padded, [rows, columns, height, width, 3])
    return tf.reshape(tf.transpose(grid, [0, 2, 1, 3, 4]), [rows * height, columns * width, 3])
