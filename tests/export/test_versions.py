"""Numbered versions."""

from unittest.mock import MagicMock

import pytest
import tensorflow as tf

from darac_tf.errors import UserError
from darac_tf.export import ExportSettings, publish, publishing
from darac_tf.export.publishing import version_folder
from tests.export.conftest import RESOLUTIONS


def test_versions(tmp_path):
    assert version_folder(tmp_path / "new") == tmp_path / "new" / "1"
    for name in ("2", "9", "10", "notes", ".a.12"):
        (tmp_path / name).mkdir()
    assert version_folder(tmp_path) == tmp_path / "11"
    assert version_folder(tmp_path, 3) == tmp_path / "3"
    with pytest.raises(UserError, match="9 exists, and a version never changes"):
        version_folder(tmp_path, 9)
    (tmp_path / "9" / "saved_model.pb").touch()
    with pytest.raises(UserError, match="is one exported model"):
        version_folder(tmp_path / "9")


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise tf.errors.ResourceExhaustedError(None, None, "a/b; No space left on device [Op:Save]")

    monkeypatch.setattr(publishing, "ImageDescriber", lambda *_: MagicMock())
    monkeypatch.setattr(publishing, "fused_copy", lambda model, _: (model, None))
    monkeypatch.setattr(tf.saved_model, "save", fail)
    with pytest.raises(UserError, match="1: No space left on device; free space") as caught:
        publish(None, tmp_path / "out", ExportSettings(RESOLUTIONS))
    assert "\n" not in str(caught.value) and not any((tmp_path / "out").iterdir())
