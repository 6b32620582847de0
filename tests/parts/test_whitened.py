"""Whitening of parts: as of one array, in one pass, part by part, and known to queries."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.parts import whitened
from darac_tf.parts.part_files import Parts, dead_letters, write_part
from darac_tf.parts.whitened import as_parts, check_model, learn_whitening, whiten_parts
from tests.parts.part_helpers import columns_of, layout_of

DIM, ROWS = 6, 30


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    layout = layout_of(ROWS, 4, DIM)
    layout.begin(folder)
    for part in range(len(layout)):
        start, stop = layout.rows_of(part)
        dead = [("gone", "gone.jpg", "is not there")] if part == 1 else []
        write_part(folder, layout, part, columns_of(range(start, stop - len(dead)), DIM), dead)
    return Parts.open(folder)


@pytest.fixture(scope="module")
def vectors(parts):
    return parts.read(np.arange(parts.rows)).astype(np.float64)


def test_it_is_the_whitening_of_one_array_by_definition(parts, vectors, tmp_path):
    whitening = learn_whitening(parts, 4)
    values, axes = np.linalg.eigh(np.cov(vectors.T))
    projection = (axes / np.sqrt(values))[:, ::-1][:, :4].T
    signs = np.sign(np.sum(projection * whitening.projection, axis=1, keepdims=True))
    np.testing.assert_allclose(whitening.projection, projection * signs, rtol=1e-6, atol=1e-9)
    expected = (vectors - vectors.mean(axis=0)) @ (projection * signs).T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    whiten_parts(parts, whitening, tmp_path)
    out = Parts.open(tmp_path)
    found = out.read(np.arange(out.rows))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert out.dim == 4 and out.model != parts.model
    for part in range(len(parts)):
        assert out.ids(part) == parts.ids(part)
        assert dead_letters(tmp_path, part) == dead_letters(parts.folder, part)
        before, after = parts.columns(part), out.columns(part)
        assert all(before[name] == after[name] for name in before if name != "vector")


def test_queries_are_whitened_as_their_parts_are(parts, vectors, tmp_path):
    whiten_parts(parts, learn_whitening(parts, 4), tmp_path)
    out = Parts.open(tmp_path)
    queries = vectors[:5].astype(np.float32)
    np.testing.assert_allclose(as_parts(out, queries), out.read(np.arange(5)), atol=1e-6)
    assert as_parts(parts, queries) is queries
    own = SimpleNamespace(fingerprint=parts.model, folder="own")
    check_model(parts, own), check_model(out, own)
    with pytest.raises(UserError, match=r"another model \(m+\) than other"):
        check_model(out, SimpleNamespace(fingerprint="x", folder="other"))
    learn_whitening(parts, 4, 0.5).save(tmp_path / "whitening.npz")
    with pytest.raises(UserError, match="is not what the parts were whitened with"):
        as_parts(out, queries)


def test_it_goes_on_where_it_was_interrupted(parts, tmp_path, monkeypatch):
    whitening, written = learn_whitening(parts, 4), []

    def recording(folder, layout, part, *rest):
        if part == 3 and len(written) == 3:
            raise KeyboardInterrupt
        written.append(part)
        write_part(folder, layout, part, *rest)

    monkeypatch.setattr(whitened, "write_part", recording)
    with pytest.raises(KeyboardInterrupt):
        whiten_parts(parts, whitening, tmp_path)
    del written[3:]
    done = len(list(tmp_path.glob("part-*")))
    written.clear()
    whiten_parts(parts, whitening, tmp_path)
    assert len(written) == len(parts) - done and len(Parts.open(tmp_path)) == len(parts)


def test_other_whitenings_and_whitened_parts_are_refused(parts, tmp_path):
    whitening = learn_whitening(parts, 4)
    whiten_parts(parts, whitening, tmp_path / "out")
    with pytest.raises(UserError, match="holds parts of another model"):
        whiten_parts(parts, learn_whitening(parts, 4, 0.5), tmp_path / "out")
    with pytest.raises(UserError, match="is whitened already"):
        whiten_parts(Parts.open(tmp_path / "out"), whitening, tmp_path / "again")
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(UserError, match="descriptors of 6 dimensions, and these have 4"):
        whiten_parts(SimpleNamespace(layout=parts.layout, dim=4), whitening, tmp_path / "out")
    assert not (tmp_path / "out").exists()
