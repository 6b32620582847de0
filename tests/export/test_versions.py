"""Numbered versions."""

import pytest

from darac_tf.errors import UserError
from darac_tf.export.publishing import version_folder


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
