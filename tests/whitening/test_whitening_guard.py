"""The check that a whitening is not tested on its own images: by content, not by path."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from darac_tf.data import content_keys as image_keys
from darac_tf.data.content_keys import keys_of_images
from darac_tf.errors import UserError
from darac_tf.whitening import check_not_test_set, fit_pca_whitening, load_whitening


def _write(folder, sizes, seed):
    """Files of random bytes, whose sizes but not whose contents repeat."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    paths = [folder / f"{i}.jpg" for i in range(len(sizes))]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(rng.bytes(size))
    return [str(path) for path in paths]


@pytest.fixture
def paris(tmp_path):
    return _write(tmp_path / "paris", [100, 200, 200, 300, 400, 500], seed=1)


@pytest.fixture
def oxford(tmp_path):
    return _write(tmp_path / "oxford", [100, 200, 250, 300, 300], seed=2)


def _fitted(paths):
    x = np.random.default_rng(3).standard_normal((len(paths), 3))
    return fit_pca_whitening(x, image_keys=keys_of_images(paths))


@pytest.fixture(params=["paths", "array", "fitted", "loaded"])
def fitted_on(request, paris, tmp_path):
    if request.param in ("paths", "array"):
        return paris if request.param == "paths" else np.array(paris)
    whitening = _fitted(paris)
    if request.param == "fitted":
        return whitening
    whitening.save(tmp_path / "w.npz")
    return load_whitening(tmp_path / "w.npz")


def test_another_set_is_fine_though_sizes_agree(fitted_on, oxford):
    assert check_not_test_set(fitted_on, oxford) is None
    assert check_not_test_set(fitted_on, np.array(oxford), allow=True) is None


def test_refuses_the_same_set(fitted_on, paris):
    with pytest.raises(UserError) as caught:
        check_not_test_set(fitted_on, paris)
    assert str(caught.value) == (
        f"the whitening is fitted on 6 of the 6 test images, the first being {paris[0]}: fit it on "
        "other images, or pass --allow_whiten_on_test"
    )


def test_finds_a_few_images_under_other_names(fitted_on, paris, oxford, tmp_path):
    for i in (4, 2):
        oxford.append(shutil.copy(paris[i], tmp_path / f"copy{i}.png"))
    with pytest.raises(UserError, match=r"on 2 of the 7 test images, the first being .*copy4\.png"):
        check_not_test_set(fitted_on, oxford)
    assert check_not_test_set(fitted_on, oxford, allow=True) == (
        "The whitening was fitted on 2 of the 7 test images (--allow_whiten_on_test), so its "
        "scores are optimistic."
    )


def test_a_changed_byte_makes_another_image(fitted_on, paris, tmp_path):
    content = bytearray(Path(paris[3]).read_bytes())
    content[-1] ^= 1
    (tmp_path / "changed.jpg").write_bytes(content)
    assert check_not_test_set(fitted_on, [tmp_path / "changed.jpg"]) is None


def test_a_whitening_of_unknown_images_is_refused(oxford):
    unknown = fit_pca_whitening(np.random.default_rng(0).standard_normal((9, 3)))
    with pytest.raises(UserError, match=r"does not say which images .* --allow_whiten_on_test"):
        check_not_test_set(unknown, oxford)
    sentence = check_not_test_set(unknown, oxford, allow=True)
    assert sentence == (
        "The images that the whitening was fitted on are not known (--allow_whiten_on_test)."
    )


def test_reads_files_of_equal_size_only(paris, oxford, monkeypatch):
    read = []
    true_key = image_keys._key_of_file
    monkeypatch.setattr(image_keys, "_key_of_file", lambda p: read.append(str(p)) or true_key(p))
    assert check_not_test_set(paris, oxford) is None
    assert sorted(read) == sorted(paris[:4] + [oxford[i] for i in (0, 1, 3, 4)])


def test_files_that_are_missing_are_known_by_their_paths(paris, oxford, tmp_path):
    gone, other = str(tmp_path / "gone.jpg"), str(tmp_path / "other.jpg")
    assert check_not_test_set([*paris, gone], [*oxford, other]) is None
    with pytest.raises(UserError, match=r"on 1 of the .* the first being .*gone\.jpg"):
        check_not_test_set([*paris, gone], [*oxford, other, gone])


def test_fingerprint_is_that_of_a_set(paris, oxford):
    keys = keys_of_images(paris)
    name = image_keys.fingerprint(keys)
    assert image_keys.fingerprint(np.r_[keys[::-1], keys[2:3]]) == name
    assert image_keys.fingerprint(keys[:-1]) != name
    assert image_keys.fingerprint(keys_of_images(oxford)) != name
    assert _fitted(paris).provenance["images_fingerprint"] == name and len(name) == 16


def test_duplicates_are_kept_once(paris):
    assert len(_fitted(paris + paris[:2]).image_keys) == 6
    with pytest.raises(UserError, match="on 2 of the 2 test images"):
        check_not_test_set(paris, [paris[1], paris[1]])
