"""What a run shows as it goes on: progress bar, metrics.csv, TensorBoard, pictures, projector."""

import contextlib
import csv
import json
import math
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from google.protobuf import text_format
from tensorboard.plugins.projector import ProjectorConfig
from tqdm import tqdm

from darac_tf.errors import UserError
from darac_tf.files import atomic_path
from darac_tf.reports.thumbnails import thumbnail

METRICS_FILE = "metrics.csv"
_CSV = {"newline": "", "encoding": "utf-8"}
_GRID_COLUMNS, _GRID_IMAGES = 8, 48
_PROJECTED, _SPRITE_SIDE = 1000, 48


class Monitor:
    """Progress bar (images/s, loss, time left), metrics.csv, and TensorBoard events of a run.

    `step` is the one that the run goes on from; 0 for a new one.
    """

    def __init__(self, run_dir, config, optimizer, step=0):
        self._run_dir = Path(run_dir)
        self._file = MetricsFile(run_dir, step)
        self._config = config
        self._optimizer = optimizer
        self._board = self._run_dir / "tensorboard"
        self._writer = tf.summary.create_file_writer(str(self._board))
        with self._writer.as_default(step):
            tf.summary.text("settings", f"```\n{json.dumps(vars(config), indent=1)}\n```")
        self._bar = None
        self._images, self._seconds = 0, 0.0  # since the last scalars

    def batch(self, step, images):
        """Shows the images of a step, `(batch, height, width, 3)` in [0, 255], as a grid."""
        self._picture("train/images", step, image_grid(images[:_GRID_IMAGES], _GRID_COLUMNS))

    def step(self, step, loss, gradient_norm, images, seconds):
        """Reports one step: its loss, gradient norm, number of images and time."""
        if self._bar is None:
            total, before = self._config.steps, step - 1
            self._bar = tqdm(None, "train", total, unit="step", mininterval=1.0, initial=before)
        self._images += images
        self._seconds += seconds
        self._bar.update(1)
        self._file.write(step, {"loss": loss, "gradient_norm": gradient_norm})
        if step % self._config.log_every and step != self._config.steps:
            return
        rate = self._images / self._seconds
        self._bar.set_postfix_str(f"loss {loss:.4f}, {rate:.1f} images/s")
        scalars = {
            "loss": loss,
            "gradient_norm": gradient_norm,
            "images_per_second": rate,
            "learning_rate": float(self._optimizer.backbone.learning_rate),
        }
        self._write(step, {f"train/{name}": value for name, value in scalars.items()})
        self._images, self._seconds = 0, 0.0

    def validation(self, step, scores, validator):
        """Reports validation scores, a dictionary of metric name to mean, and what was found."""
        named = {f"validation/{name}": float(value) for name, value in scores.items()}
        self._write(step, named)
        self._file.write(step, named)
        text = ", ".join(f"{name} {100 * value:.2f}" for name, value in scores.items())
        tqdm.write(f"step {step}: validation {text}")
        path = self._run_dir / "pictures" / f"{step:06d}.png"
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

    def __getattr__(self, name):
        return lambda *_: None


def image_grid(images, columns):
    """Images `(n, height, width, 3)` in [0, 255] side by side, row by row, black where n ends.

    uint8 `(rows * height, columns * width, 3)`, of no more columns than images.
    """
    pixels = tf.cast(tf.clip_by_value(tf.round(tf.cast(images, tf.float32)), 0, 255), tf.uint8)
    count, height, width, _ = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    padded = tf.pad(pixels, [[0, rows * columns - count], [0, 0], [0, 0], [0, 0]])
    grid = tf.reshape(padded, [rows, columns, height, width, 3])
    return tf.reshape(tf.transpose(grid, [0, 2, 1, 3, 4]), [rows * height, columns * width, 3])


class MetricsFile:
    """Appends `step,name,value` lines; what lies beyond the step of a resumed run is dropped.

    Any method raises `UserError` if the file can't be written, as on a full disk.
    """

    def __init__(self, run_dir, step):
        self._path = path = Path(run_dir) / METRICS_FILE
        kept = [row for row in _read(path) if int(row[0]) <= step] if step else []
        with self._reporting():
            with atomic_path(path) as temporary, temporary.open("w", **_CSV) as file:
                csv.writer(file).writerows([["step", "name", "value"], *kept])
            self._file = path.open("a", **_CSV)
        self._writer = csv.writer(self._file)

    def write(self, step, values):
        """Writes a dictionary of name to number, with all digits of each."""
        rows = [[step, name, json.dumps(value)] for name, value in values.items()]
        with self._reporting():
            self._writer.writerows(rows)

    def flush(self):
        """Hands all lines to the system: a killed process loses none."""
        with self._reporting():
            self._file.flush()

    def close(self):
        with self._reporting():
            self._file.close()

    @contextlib.contextmanager
    def _reporting(self):
        try:
            yield
        except OSError as error:
            raise UserError(
                f"can't write {self._path}: {error.strerror}; free space or change its rights, and "
                "go on with --resume"
            ) from error


def _read(path):
    if not path.exists():
        return []
    with path.open(**_CSV) as file:
        # A killed process may leave half a line.
        return [row for row in list(csv.reader(file))[1:] if len(row) == 3]


def write_projector(folder, descriptors, images):
    """Writes the files that the projector reads from a TensorBoard folder.

    Of more than 1000 `LabelledImages` with descriptors `(images, dim)`, evenly spread ones are
    shown.
    """
    shown = np.unique(np.linspace(0, len(images) - 1, _PROJECTED).astype(int))
    with atomic_path(folder / "descriptors.tsv") as path:
        np.savetxt(path, np.asarray(descriptors)[shown], fmt="%.5g", delimiter="\t")
    with atomic_path(folder / "classes.tsv") as path:
        names = (str(images.class_names[images.labels[row]]) for row in shown)
        lines = "".join(" ".join(name.split()) + "\n" for name in names)
        path.write_text(lines, encoding="utf-8")
    if not (folder / "images.png").exists():  # Images stay the same.
        with atomic_path(folder / "images.png") as path:
            cv2.imwrite(str(path), _sprite(images.image_list(shown))[:, :, ::-1])
    config = ProjectorConfig()
    embedding = config.embeddings.add(
        tensor_name="validation", tensor_path="descriptors.tsv", metadata_path="classes.tsv"
    )
    embedding.sprite.image_path = "images.png"
    embedding.sprite.single_image_dim.extend([_SPRITE_SIDE, _SPRITE_SIDE])
    with atomic_path(folder / "projector_config.pbtxt") as path:
        path.write_text(text_format.MessageToString(config), encoding="utf-8")


def _sprite(images):
    """An `ImageList` in small, as an `image_grid` of as many columns as rows or one more."""
    squares = np.zeros((len(images), _SPRITE_SIDE, _SPRITE_SIDE, 3), np.uint8)
    for row, square in enumerate(squares):
        small = thumbnail(images.paths[row], _SPRITE_SIDE, turns=images.turns_of(row))
        square[: small.shape[0], : small.shape[1]] = small
    return image_grid(squares, math.ceil(math.sqrt(len(images)))).numpy()
