import json

import cv2
import numpy as np
import pytest

from darac_tf.data.demo import landmarks
from darac_tf.data.demo.landmarks import generate_landmarks
from darac_tf.data.demo.views import box_of, draw_camera, draw_landmark
from darac_tf.errors import UserError

SIZE = 64


def read_set(folder):
    """Returns the bytes of every file by its path in the folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def images_of(folder):
    return {name: data for name, data in read_set(folder).items() if name.endswith(".jpg")}


def decode(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture(scope="module")
def small_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "five"
    return generate_landmarks(folder, classes=5, views=3, size=SIZE, seed=7)


def test_layout_and_settings(small_set):
    names = sorted(read_set(small_set))
    expected = [f"landmark_{c:03d}/{v:02d}.jpg" for c in range(5) for v in range(3)]
    assert names == [*expected, "landmarks.json"]
    settings = json.loads((small_set / "landmarks.json").read_text())
    assert settings == {
        "format": landmarks.FORMAT_VERSION,
        "classes": 5,
        "views": 3,
        "size": SIZE,
        "seed": 7,
    }


def test_images_decode_to_the_size_asked_for(small_set):
    for data in images_of(small_set).values():
        image = decode(data)
        assert image.shape == (SIZE, SIZE, 3)
        assert image.dtype == np.uint8
        assert image.std() > 5


def test_images_are_all_different(small_set):
    images = images_of(small_set)
    assert len(set(images.values())) == len(images)


def test_same_seed_gives_the_same_bytes(small_set, tmp_path):
    again = generate_landmarks(str(tmp_path / "again"), classes=5, views=3, size=SIZE, seed=7)
    assert read_set(again) == read_set(small_set)


def test_another_seed_gives_other_images(small_set, tmp_path):
    other = generate_landmarks(tmp_path / "other", classes=5, views=3, size=SIZE, seed=8)
    ours, theirs = images_of(small_set), images_of(other)
    assert all(theirs[name] != data for name, data in ours.items())


def test_fewer_classes_and_views_are_a_part_of_more(small_set, tmp_path):
    part = generate_landmarks(tmp_path / "part", classes=3, views=2, size=SIZE, seed=7)
    whole = images_of(small_set)
    for name, data in images_of(part).items():
        assert data == whole[name]


def test_second_call_draws_nothing(tmp_path, monkeypatch):
    folder = generate_landmarks(tmp_path / "a" / "set", classes=2, views=2, size=SIZE)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(landmarks, "draw_landmark", None)
    assert generate_landmarks(folder, classes=2, views=2, size=SIZE) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.parametrize("change", [{"classes": 4}, {"views": 4}, {"size": 80}, {"seed": 8}])
def test_a_folder_of_other_settings_is_refused(small_set, change):
    before = read_set(small_set)
    settings = {"classes": 5, "views": 3, "size": SIZE, "seed": 7} | change
    with pytest.raises(UserError, match=f"{small_set}.*choose another folder or delete it"):
        generate_landmarks(small_set, **settings)
    assert read_set(small_set) == before


def test_a_set_of_another_format_is_refused(tmp_path, monkeypatch):
    folder = generate_landmarks(tmp_path / "set", classes=1, views=1, size=SIZE)
    monkeypatch.setattr(landmarks, "FORMAT_VERSION", landmarks.FORMAT_VERSION + 1)
    with pytest.raises(UserError, match="other settings"):
        generate_landmarks(folder, classes=1, views=1, size=SIZE)


def test_foreign_content_is_refused_and_kept(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(UserError, match="holds files but no landmark set"):
        generate_landmarks(folder, classes=1, views=1, size=SIZE)
    assert read_set(folder) == {"mine.jpg": b"mine"}
    (folder / "landmarks.json").write_text("{")
    with pytest.raises(UserError, match="not a valid settings file"):
        generate_landmarks(folder, classes=1, views=1, size=SIZE)
    with pytest.raises(UserError, match="not a folder"):
        generate_landmarks(folder / "mine.jpg", classes=1, views=1, size=SIZE)
    with pytest.raises(UserError, match="cannot write the landmark set"):
        generate_landmarks(folder / "mine.jpg" / "set", classes=1, views=1, size=SIZE)


def test_an_empty_folder_is_filled(tmp_path):
    generate_landmarks(tmp_path, classes=1, views=1, size=SIZE)
    assert sorted(read_set(tmp_path)) == ["landmark_000/00.jpg", "landmarks.json"]


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    real, calls = landmarks.draw_view, []

    def fail_at_the_third(*args):
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(landmarks, "draw_view", fail_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        generate_landmarks(tmp_path / "set", classes=2, views=2, size=SIZE)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    folder = generate_landmarks(tmp_path / "set", classes=2, views=2, size=SIZE)
    assert len(images_of(folder)) == 4


def test_a_set_finished_meanwhile_by_another_process_is_kept(tmp_path, monkeypatch):
    folder, real = tmp_path / "set", landmarks._draw_set
    settings = {"classes": 1, "views": 2, "size": SIZE}

    def overtaken(drawn, wanted):
        monkeypatch.undo()
        generate_landmarks(folder, **settings)
        real(drawn, wanted)

    monkeypatch.setattr(landmarks, "_draw_set", overtaken)
    assert generate_landmarks(folder, **settings) == folder
    assert len(images_of(folder)) == 2
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    ("name", "value"), [("classes", 0), ("views", 0), ("size", 31), ("seed", -1)]
)
def test_settings_out_of_range_are_refused(tmp_path, name, value):
    with pytest.raises(UserError, match=f"{name} must be .* Received: {value}"):
        generate_landmarks(tmp_path / "set", **{name: value})
    assert list(tmp_path.iterdir()) == []


def test_cameras_keep_the_landmark_in_view():
    rng = np.random.default_rng(0)
    for index in range(30):
        landmark = draw_landmark(np.random.default_rng([3, index]), SIZE)
        left, right, bottom, top = box_of(landmark)
        assert -0.5 <= left < right <= 0.5
        assert 0 <= bottom < top <= 1
        camera = draw_camera(rng, landmark, SIZE)
        grid = np.stack(np.meshgrid(np.linspace(left, right, 9), np.linspace(bottom, top, 9)), -1)
        points = np.concatenate([grid.reshape(-1, 2), np.zeros((81, 1))], axis=1)
        seen = camera.project(points)
        inside = np.all((seen >= 0) & (seen <= SIZE), axis=1)
        assert inside.mean() > 0.6


def test_camera_right_is_right_and_up_is_up():
    landmark = draw_landmark(np.random.default_rng(0), SIZE)
    camera = draw_camera(np.random.default_rng(1), landmark, SIZE)
    middle, right, up = camera.project([(0, 0, 0), (0.2, 0, 0), (0, 0.2, 0)])
    assert right[0] > middle[0]
    assert up[1] < middle[1]


def gradient_histograms(image, cells=8, bins=9):
    """Unsigned gradient orientations on a grid, each cell normalised: structure, not colour."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float64)
    dy, dx = np.gradient(grey)
    magnitude, angle = np.hypot(dx, dy), np.arctan2(dy, dx) % np.pi
    which = np.minimum((angle / np.pi * bins).astype(int), bins - 1)
    planes = np.eye(bins)[which] * magnitude[..., None]
    side = len(grey) // cells
    grid = planes.reshape(cells, side, cells, side, bins).sum(axis=(1, 3))
    grid /= np.linalg.norm(grid, axis=2, keepdims=True) + 0.1 * np.linalg.norm(grid, axis=2).mean()
    return grid.ravel()


def leave_one_out_map(descriptors, labels):
    """Mean average precision, every image a query against all others."""
    descriptors = descriptors - descriptors.mean(axis=0)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    similarity = descriptors @ descriptors.T
    precisions = []
    for query, scores in enumerate(similarity):
        order = np.argsort(-scores, kind="stable")
        hits = (labels == labels[query])[order[order != query]]
        ranks = np.flatnonzero(hits) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    return np.mean(precisions)


@pytest.mark.slow
def test_structure_tells_landmarks_apart_and_colour_hardly_does(tmp_path):
    folder = generate_landmarks(tmp_path / "set", classes=30, views=6, size=SIZE)
    files = sorted(folder.rglob("*.jpg"))
    images = [decode(file.read_bytes()) for file in files]
    labels = np.array([file.parent.name for file in files])
    shuffled = np.random.default_rng(0).permutation(labels)
    structure = np.stack([gradient_histograms(image) for image in images])
    colour = np.stack([image.mean(axis=(0, 1)) for image in images])
    chance = leave_one_out_map(structure, shuffled)
    by_structure = leave_one_out_map(structure, labels)
    by_colour = leave_one_out_map(colour, labels)
    print(f"mAP: structure {by_structure:.3f}, mean colour {by_colour:.3f}, chance {chance:.3f}")
    assert by_structure > 3 * chance
    assert by_structure > 2 * by_colour
    assert by_colour < 2 * chance
