"""Matches against a loop, known maps found again, and what has no inliers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from darac_tf.local_features.extraction import LocalExtractor
from darac_tf.local_features.matching import MatchSettings, match, mutual_neighbours
from darac_tf.local_features.store import no_features
from tests.local_features.local_helpers import patch_model, random_features, save, texture

SIMILARITY = np.array([[0.9, -0.3, 12.0], [0.3, 0.9, -5.0]])


def seen_through(features, transform, keep, noise=0.0, seed=9):
    """The same features, of which those behind the first `keep` lie anywhere."""
    rng = np.random.default_rng(seed)
    moved = features.locations @ transform[:, :2].T + transform[:, 2]
    moved[keep:] = rng.uniform(0, features.long_side, moved[keep:].shape)
    moved += noise * rng.normal(size=moved.shape)
    return replace(features, locations=moved.astype(np.float32))


def test_neighbours_against_the_loop():
    first, second = random_features(30, 1, dim=4), random_features(40, 2, dim=4)
    distance = np.linalg.norm(
        first.descriptors[:, None].astype(float) - second.descriptors[None], axis=2
    )
    expected = []
    for i in range(30):
        j = int(np.argmin(distance[i]))
        if int(np.argmin(distance[:, j])) == i and distance[i, j] <= 0.4:
            expected.append((i, j))
    found = mutual_neighbours(first.descriptors, second.descriptors, 0.4)
    assert 3 < len(expected) < 25
    np.testing.assert_array_equal(found, expected)


def test_a_known_map_is_found_among_outliers():
    first = random_features(100)
    second = seen_through(first, SIMILARITY, keep=60, noise=0.1)
    found = match(first, second, MatchSettings(tolerance=0.01))
    assert len(found.pairs) == 100
    assert found.is_inlier[:60].all() and found.inliers <= 66
    np.testing.assert_allclose(found.transform, SIMILARITY, atol=0.3)
    moved = found.pairs[:, 1]
    off = first.locations @ found.transform[:, :2].T + found.transform[:, 2]
    off = np.linalg.norm(off - second.locations[moved], axis=1)
    assert off[found.is_inlier].max() < 1.5 < off[~found.is_inlier].min() + 1


@pytest.mark.parametrize("zoom", [1.0, 3.0])
def test_inliers_lie_within_the_tolerance_and_others_beyond_it(zoom):
    # The paper's map of most matches, with some of them half as far again and half as near.
    first = random_features(120)
    angles = np.random.default_rng(3).uniform(0, 2 * np.pi, 40)
    off = np.column_stack([np.cos(angles), np.sin(angles)]) * np.repeat([0.75, 1.5], 20)[:, None]
    moved = first.locations.copy()
    moved[80:] += 2.0 * off  # the default tolerance is 0.02 of the side, which is 100
    second = replace(first, locations=(zoom * moved).astype(np.float32), long_side=zoom * 100)
    is_inlier = match(first, second).is_inlier
    assert is_inlier[:100].all() and not is_inlier[100:].any()
    tight = match(first, second, MatchSettings(tolerance=0.01))
    assert tight.is_inlier[:80].all() and not tight.is_inlier[80:].any()
    # The tolerance is a share of the second image's side, whatever the first one's.
    assert match(replace(first, long_side=7.0), second).inliers == 100


def apart(distance, count=12):
    """Two images' features at the same places; matching descriptors are so far apart."""
    angle = 2 * np.arcsin(distance / 2)
    axes = np.eye(2 * count, dtype=np.float32)
    first = replace(random_features(count), descriptors=axes[:count])
    turned = np.cos(angle) * axes[:count] + np.sin(angle) * axes[count:]
    return first, replace(first, descriptors=turned.astype(np.float32))


@pytest.mark.parametrize("limit", [None, 0.5, 1.2])
def test_descriptors_match_up_to_the_largest_distance(limit):
    settings = MatchSettings() if limit is None else MatchSettings(max_distance=limit)
    limit = limit or 0.8
    near, far = (match(*apart(factor * limit), settings) for factor in (0.98, 1.02))
    assert near.inliers == 12 and len(far.pairs) == far.inliers == 0


def test_a_second_neighbour_as_near_as_the_first_is_no_hindrance():
    # The same spot at two scales; a ratio test would drop both.
    one = random_features(20)
    rng = np.random.default_rng(1)
    again = replace(one, descriptors=one.descriptors + 0.01 * rng.normal(size=(20, 8)))
    both = replace(
        one,
        descriptors=np.float32(np.concatenate([one.descriptors, again.descriptors])),
        locations=np.tile(one.locations, (2, 1)),
    )
    assert match(both, both).inliers == 40


def test_three_that_agree_are_no_inliers():
    # Three matches always agree, and here no fourth does.
    for seed in range(5):
        first = random_features(9)
        second = seen_through(first, SIMILARITY, keep=0, seed=seed)
        found = match(first, second, MatchSettings(tolerance=1e-4))
        assert len(found.pairs) == 9 and found.inliers == 0 and found.transform is None


def test_few_inliers_are_found_by_many_samples():
    # A sample is of three inliers once in 140 times: a thousand miss it hardly ever, fifty often.
    found = {50: 0, None: 0}
    for seed in range(8):
        first = random_features(100, seed)
        moved = seen_through(first, SIMILARITY, 20, seed=30 + seed).locations
        order = np.random.default_rng(seed).permutation(100)  # OpenCV draws the same places always
        first = replace(
            first, descriptors=first.descriptors[order], locations=first.locations[order]
        )
        second = replace(first, locations=moved[order])
        for iterations in found:
            settings = None if iterations is None else MatchSettings(iterations=iterations)
            found[iterations] += match(first, second, settings).is_inlier[order < 20].all()
    assert found[None] == 8 and found[50] < 6


@pytest.mark.parametrize("zoom", [9.0, 1 / 9])
def test_views_of_up_to_ten_times_the_size(zoom):
    first = random_features(60)
    near, far = (
        replace(first, locations=first.locations * zoom**power, long_side=100 * zoom**power)
        for power in (1.0, 1.1)  # 9 and 11.2
    )
    assert match(first, near).inliers == 60 and match(first, far).inliers == 0
    assert match(first, near, MatchSettings(max_zoom=8)).inliers == 0


def test_same_result_in_every_thread_and_order():
    first, second = random_features(80), seen_through(random_features(80), SIMILARITY, 25)
    alone = match(first, second)
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(match, first, second) for _ in range(12)]
    for other in others:
        np.testing.assert_array_equal(other.result().is_inlier, alone.is_inlier)


def test_nothing_in_common():
    one, none = random_features(50), no_features(8)
    for pair in ((none, one), (one, none), (none, none)):
        found = match(*pair)
        assert found.inliers == 0 and found.pairs.shape == (0, 2) and found.transform is None
    three, four = random_features(3), random_features(4)
    assert match(three, three).inliers == 0 and len(match(three, three).pairs) == 3
    assert match(four, four).inliers == 4
    with pytest.raises(ValueError, match=r"one dimension. Received: \(50, 8\) and \(5, 4\)"):
        match(one, random_features(5, dim=4))


@pytest.mark.parametrize("direction", [(0.0, 0.0), (1.0, 0.0), (1.0, 2.0)])
def test_points_on_a_line_or_in_one_place_have_no_inliers(direction):
    features = random_features(30)
    line = replace(
        features, locations=(np.arange(30)[:, None] * np.array(direction)).astype(np.float32)
    )
    assert match(line, line).inliers == 0


@pytest.mark.parametrize("transform", [np.diag([-1.0, 1.0]), np.diag([0.05, 0.05])])
def test_mirrored_and_collapsed_images_have_no_inliers(transform):
    features = random_features(60)
    transform = np.column_stack([transform, [50.0, 50.0]])
    other = seen_through(features, transform, 60)
    assert match(features, other).inliers == 0
    assert match(features, seen_through(features, SIMILARITY, 60)).inliers == 60


@pytest.mark.parametrize(("zoom", "degrees"), [(0.7071, 0), (1.4142, 4), (1.0, 8)])
def test_images_seen_anew_against_another_image(zoom, degrees, tmp_path):
    image = texture(seed=1)
    transform = cv2.getRotationMatrix2D((128, 96), degrees, zoom)
    transform[:, 2] += (9, -7)
    anew = cv2.warpAffine(image, transform, (256, 192), flags=cv2.INTER_AREA)
    pictures = {"image": image, "anew": anew, "other": texture(seed=2)}
    paths = [save(tmp_path / f"{name}.png", picture) for name, picture in pictures.items()]
    first, second, other = LocalExtractor(patch_model(), paths, progress=False)
    settings = MatchSettings(tolerance=0.02)
    found, unrelated = match(first, second, settings), match(first, other, settings)
    assert found.inliers > 40 and found.inliers > 3 * unrelated.inliers
    np.testing.assert_allclose(found.transform[:, :2], transform[:, :2], atol=0.1)
    centre = np.array([128, 96, 1])
    np.testing.assert_allclose(found.transform @ centre, transform @ centre, atol=5)
