"""Where local features lie, which are kept, and what boxes, turns and bad images do to them."""

import dataclasses

import numpy as np
import pytest

from darac_tf.data.images import resize
from darac_tf.data.views import ImageList
from darac_tf.describing.sizes import Factor
from darac_tf.errors import UserError
from darac_tf.local_features.extraction import ExtractionSettings, LocalExtractor, fit_local_pca
from tests.local_features.local_helpers import STRIDE, patch_model, save, texture

SCALES = (0.25, 0.3536, 0.5, 0.7071, 1, 1.4142, 2)
MODEL = patch_model()


def features_of(images, reduction=None, **settings):
    extractor = LocalExtractor(
        MODEL, images, reduction, ExtractionSettings(**settings), progress=False
    )
    return list(extractor)


def blob(x, y, height=192, width=256, radius=12):
    rows, columns = np.mgrid[:height, :width] + 0.5
    inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return np.repeat(255 * inside[..., None], 3, axis=2)


def test_the_defaults_are_the_papers():
    defaults = ExtractionSettings()
    assert tuple(scale.value for scale in defaults.scales) == SCALES
    assert (defaults.max_side, defaults.max_features) == (1024, 1000)


@pytest.mark.parametrize("scale", SCALES)
def test_the_brightest_feature_moves_with_the_blob(scale, tmp_path):
    centres = np.array([(60, 50), (124, 50), (60, 146), (200, 100)])
    paths = [save(tmp_path / f"{i}.png", blob(*centre)) for i, centre in enumerate(centres)]
    found = features_of(paths, scales=(Factor(scale),), max_features=1)
    places = np.concatenate([features.locations for features in found])
    # The blob's middle lies in or next to its brightest cell.
    assert np.abs(places - centres).max() <= max(STRIDE / scale / 2 + 1e-3, 12)
    if scale in (0.5, 1, 2):  # these are whole cells apart
        np.testing.assert_allclose(places[1:3] - places[0], centres[1:3] - centres[0], atol=1e-3)


def test_best_of_all_scales_against_a_loop(tmp_path):
    image = texture(100, 140)
    scales, limit = (Factor(0.5), Factor(1.0)), 20
    expected = []
    for scale in scales:
        height, width = scale.planned_size(100, 140)
        maps, attention = (np.asarray(out[0]) for out in MODEL(resize(image, height, width)[None]))
        rows, columns = attention.shape
        for row, column in np.ndindex(rows, columns):
            place = ((column + 0.5) * 140 / columns, (row + 0.5) * 100 / rows)
            expected.append((float(attention[row, column]), place, maps[row, column]))
    expected.sort(key=lambda feature: -feature[0])
    (found,) = features_of([save(tmp_path / "a.png", image)], scales=scales, max_features=limit)
    assert len(found) == limit and found.long_side == 140
    np.testing.assert_allclose(found.attention, [f[0] for f in expected[:limit]], rtol=1e-4)
    np.testing.assert_allclose(found.locations, [f[1] for f in expected[:limit]], atol=1e-3)
    np.testing.assert_allclose(found.descriptors, [f[2] for f in expected[:limit]], atol=1e-4)
    threshold = expected[10][0]
    (found,) = features_of([str(tmp_path / "a.png")], scales=scales, min_attention=threshold)
    assert len(found) in (10, 11) and (found.attention > threshold).all()


def test_large_images_are_bounded_and_small_ones_stay(tmp_path):
    path = save(tmp_path / "a.png", texture(96, 160))
    (bounded,) = features_of([path], scales=(Factor(1.0),), max_side=80)
    assert len(bounded) == (80 // STRIDE) * (48 // STRIDE)
    assert bounded.long_side == 160 and bounded.locations.max() > 140
    (whole,) = features_of([path], scales=(Factor(1.0),), max_side=1000)
    assert len(whole) == (160 // STRIDE) * (96 // STRIDE)


def test_a_box_is_its_crop_moved(tmp_path):
    image, (left, top, right, bottom) = texture(), (40, 30, 168, 126)
    whole = save(tmp_path / "whole.png", image)
    crop = save(tmp_path / "crop.png", image[top:bottom, left:right])
    boxes = np.array([[left, top, right, bottom], [np.nan] * 4])
    boxed, unboxed = features_of(ImageList(np.array([whole, whole]), boxes))
    (cropped,) = features_of([crop])
    (plain,) = features_of([whole])
    np.testing.assert_array_equal(boxed.descriptors, cropped.descriptors)
    np.testing.assert_allclose(
        boxed.locations, cropped.locations + np.array([left, top]), atol=1e-4
    )
    assert boxed.long_side == 128
    np.testing.assert_array_equal(unboxed.locations, plain.locations)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turns_find_the_blob_in_the_stored_image(quarters, tmp_path):
    path = save(tmp_path / "a.png", blob(60, 44))
    images = ImageList(np.array([path]), np.array([[8.0, 4, 248, 188]]), np.array([quarters]))
    (found,) = features_of(images, scales=(Factor(2.0),), max_features=40)
    np.testing.assert_allclose(found.locations.mean(axis=0), (60, 44), atol=3)


def test_reduction_is_pca_between_two_normalisations(tmp_path):
    paths = [save(tmp_path / f"{i}.png", texture(seed=i)) for i in range(2)]
    full = features_of(paths)
    pca = fit_local_pca(full, dim=5, per_image=50, provenance={"images": "textures"})
    assert pca.provenance["power"] == 0 and pca.provenance["samples"] == 100
    for raw, reduced in zip(full, features_of(paths, pca), strict=True):
        expected = (raw.descriptors - pca.mean) @ pca.projection.T
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(reduced.descriptors, expected, atol=1e-4)
        np.testing.assert_array_equal(reduced.locations, raw.locations)
    assert fit_local_pca(full[:1]).projection.shape == (40, 48)
    assert fit_local_pca(full[:1]).provenance["samples"] == 100
    draws = [fit_local_pca(full, 5, 50, seed).mean for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()
    keys = np.arange(4, dtype=np.uint64).reshape(2, 2)
    np.testing.assert_array_equal(fit_local_pca(full, 5, image_keys=keys).image_keys, keys)
    with pytest.raises(UserError, match="needs images"):
        fit_local_pca([])
    pca = dataclasses.replace(pca, mean=pca.mean[:3])
    with pytest.raises(UserError, match="features of 3 channels, and the model gives 48"):
        LocalExtractor(MODEL, paths, pca, progress=False)


def test_bad_images_are_named_or_empty_and_there_is_one_trace(tmp_path):
    shapes = [(40, 64), (64, 40), (56, 56)]
    paths = [save(tmp_path / f"{i}.png", texture(*shape)) for i, shape in enumerate(shapes)]
    data = (tmp_path / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.png").write_text("no image")
    paths[1:1] = [str(tmp_path / "cut.png"), str(tmp_path / "text.png")]
    with pytest.raises(UserError, match=r"text\.png: cannot be decoded"):
        LocalExtractor(MODEL, paths, progress=False)
    with pytest.raises(UserError, match=r"cut\.png: cannot be decoded"):
        list(LocalExtractor(MODEL, paths[:2], progress=False))
    extractor = LocalExtractor(MODEL, paths, progress=False, skip_bad=True)
    found = list(extractor)
    assert [len(features) > 0 for features in found] == [True, False, False, True, True]
    assert found[1].descriptors.shape == (0, extractor.dim)
    assert sorted(extractor.skipped) == [1, 2] and extractor.traces == 1
