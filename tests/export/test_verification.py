"""An export is compared with its source, and is not published when it is too far from it."""

import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.data.labelled import spread_files
from darac_tf.describing.sizes import Factor
from darac_tf.errors import UserError
from darac_tf.export import ExportSettings, publish, verification
from darac_tf.export.verification import verify_export
from tests.export.conftest import RESOLUTIONS, card_of
from tests.helpers import write_image


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precisions(simple, published, exported, photos, precision, tmp_path):
    paths = spread_files("--verify", photos, 10)
    assert len(paths) == len(set(paths)) == 10
    settings = ExportSettings(RESOLUTIONS, precision=precision)
    if precision != "float32":
        published = publish(simple, tmp_path / "out", settings, verify_paths=paths)
    worst = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 2e-3}[precision]
    found = published.verification
    assert found.images == 10 and found.max_difference < worst
    assert (found.max_difference > 1e-5) == (precision != "float32")
    assert card_of(published.folder)["verification"]["min_cosine"] == found.min_cosine > 0.999
    vectors = tf.saved_model.load(str(published.folder)).signatures["robust"](
        image_bytes=tf.constant([Path(paths[0]).read_bytes()])
    )["descriptor"]
    assert vectors.dtype == tf.float32 and abs(np.linalg.norm(vectors) - 1) < 1e-6
    sizes = [
        sum(path.stat().st_size for path in folder.glob("variables/*.data*"))
        for folder in (published.folder, exported)
    ]
    assert sizes[0] < (0.6 if precision != "float32" else 1.01) * sizes[1]


def test_nothing_is_published_below_the_threshold(simple, no_model, monkeypatch, tmp_path):
    for side in ("source", "export"):
        vectors = np.eye(1, dtype=np.float32), np.ones(1, bool)
        monkeypatch.setattr(verification, f"describe_with_{side}", lambda *_, found=vectors: found)
    settings = ExportSettings(RESOLUTIONS)
    with pytest.raises(UserError, match=r"nothing is published: .*a.png has a cosine below"):
        publish(simple, tmp_path / "out", settings, verify_paths=["a.png"], threshold=1.1)
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_verification_where_images_cannot_be_read(simple, limited, tmp_path):
    good = write_image(tmp_path / "a.png", 40, 56)
    shutil.copy(good, tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    paths = spread_files("--verify", tmp_path, 9)
    settings = ExportSettings((Factor(2),))
    found = verify_export(limited, simple, settings, paths, 0.9999)
    assert (found.images, found.unreadable) == (2, 1)
    # More pixels than that export takes.
    write_image(good, 40, 57)
    with pytest.raises(UserError, match="only one of the exported model and eval"):
        verify_export(limited, simple, settings, [good], 0.9999)
    for source, message in [("nowhere", "neither"), ("empty", "no image")]:
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=message):
            spread_files("--verify", tmp_path / source, 3)


def test_a_vector_that_is_not_a_number_is_the_farthest(monkeypatch):
    expected, usable = np.eye(3, dtype=np.float32), np.ones(3, bool)
    found = expected.copy()
    found[1, 0] = np.nan
    monkeypatch.setattr(verification, "describe_with_source", lambda *_: (expected, usable))
    monkeypatch.setattr(verification, "describe_with_export", lambda *_: (found, usable))
    with pytest.raises(UserError, match="nothing is published: b has a cosine below -1"):
        verify_export(None, None, None, ["a", "b", "c"], -1)


def test_a_weight_beyond_float16(model, tmp_path):
    copy = keras.models.clone_model(model)
    copy.set_weights([weight * 1e6 for weight in model.get_weights()])
    settings = ExportSettings(RESOLUTIONS, precision="float16")
    with pytest.raises(UserError, match="take bfloat16"):
        publish(copy, tmp_path / "out", settings)
