"""The TensorFlow Datasets builders, on synthetic data in a manual folder."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.benchmarks import BENCHMARKS, load_benchmark
from darac_tf.metrics import PROTOCOLS
from tests.data.benchmarks.synthetic import (
    write_gpr1200,
    write_holidays,
    write_oxford,
    write_revisited,
)

WRITERS = {
    "oxford5k": write_oxford,
    "roxford5k": write_revisited,
    "holidays": write_holidays,
    "gpr1200": write_gpr1200,
}


@pytest.fixture(scope="module")
def tfds():
    import tensorflow_datasets

    import darac_tf.data.benchmarks.tfds_builders  # noqa: F401 - registers them

    return tensorflow_datasets


def _load(tfds, kind, tmp_path):
    return tfds.load(
        f"darac_{kind}",
        data_dir=tmp_path / "tfds",
        try_gcs=False,
        download_and_prepare_kwargs={
            "download_config": tfds.download.DownloadConfig(manual_dir=tmp_path / "manual")
        },
    )


def test_all_are_registered(tfds):
    assert {f"darac_{kind}" for kind in BENCHMARKS} <= set(tfds.list_builders())


# Those of Paris differ from those of Oxford in their reader alone.
@pytest.mark.parametrize("kind", WRITERS)
def test_load(tfds, tmp_path, kind):
    folder = WRITERS[kind](tmp_path / "manual" / kind)
    benchmark = load_benchmark(kind, folder)
    splits = {
        name: list(dataset.as_numpy_iterator())
        for name, dataset in _load(tfds, kind, tmp_path).items()
    }
    assert set(splits) == {"database", "queries"}
    for name, images in (("database", benchmark.database), ("queries", benchmark.queries)):
        assert len(splits[name]) == len(images)
        for row, (example, path) in enumerate(zip(splits[name], images.paths, strict=True)):
            assert example["index"] == row
            assert path.endswith(f"/{example['name'].decode()}.jpg")
            # TFDS decodes by itself, faster and less exactly than darac_tf.
            pixels = tf.io.decode_image(Path(path).read_bytes()).numpy()
            np.testing.assert_array_equal(example["image"], pixels)
            box = images.box_of(row)
            np.testing.assert_array_equal(example["bbox"], [np.nan] * 4 if box is None else box)
            for relevance in PROTOCOLS[benchmark.protocol].lists:
                right = benchmark.relevance[relevance][row] if name == "queries" else []
                np.testing.assert_array_equal(example[relevance], right)
            own = benchmark.own_rows if name == "queries" else None
            assert example["own_row"] == (-1 if own is None else own[row])


def test_instructions_and_missing_files(tfds, tmp_path):
    builder = tfds.builder("darac_oxford5k", data_dir=tmp_path / "tfds")
    assert "<manual_dir>/oxford5k" in builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    assert "gnd_oxford5k.pkl" in builder.MANUAL_DOWNLOAD_INSTRUCTIONS
    WRITERS["holidays"](tmp_path / "manual" / "holidays")
    with pytest.raises(Exception, match=r"no such folder: .*manual/oxford5k"):
        _load(tfds, "oxford5k", tmp_path)
