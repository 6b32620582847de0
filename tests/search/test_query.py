"""Searching: exact against a plain loop, boxes, copies, near-duplicates."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.describing import feature_table
from darac_tf.errors import UserError
from darac_tf.search import Index, Query, find_similar, update, writing
from darac_tf.search.duplicates import near_duplicates
from tests.helpers import write_image
from tests.search.collection import damage, run, write_file
from tests.search.small_model import StandIn, vector_of


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection") / "photos"
    for number in range(30):
        write_image(folder / f"{number:02d}.png", 24 + number, 40, seed=number)
    write_file(folder / "99 copy.png", (folder / "03.png").read_bytes())
    write_file(folder / "broken.png", (folder / "03.png").read_bytes()[:-9])
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory, photos, model):
    folder = tmp_path_factory.mktemp("index")
    with writing(folder, model) as opened:
        changes = update(opened, model, [photos], batch_images=7, progress=False)
    assert [path for path, _ in changes.faults] == [str(photos / "broken.png")]
    return folder


def search(index, model, *queries, **options):
    with Index(index) as opened:
        return find_similar(opened, model, list(queries), **options)


def by_hand(path):
    """The descriptor of the small model in NumPy's and TensorFlow's plainest operations."""
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"), np.float32)
    small = tf.image.resize(pixels, [4, 4], antialias=True).numpy() / 255 - 0.5
    return small.ravel() / np.linalg.norm(small)


def test_a_query_outside_of_the_index_against_a_loop(photos, index, model, tmp_path):
    outside = write_image(tmp_path / "outside.png", 50, 60, seed=1000)
    (found,) = search(index, model, Query(outside), top_k=31)
    query = by_hand(outside)
    similarities = {}
    for path in sorted(photos.glob("*.png")):
        if path.name != "broken.png":
            products = (float(a) * float(b) for a, b in zip(query, by_hand(path), strict=True))
            similarities[str(path)] = sum(products)
    assert [item.rank for item in found] == list(range(1, 32))
    assert sorted(item.path for item in found) == sorted(similarities)
    for item in found:
        assert item.similarity == pytest.approx(similarities[item.path], abs=1e-5)
    assert (np.diff([item.similarity for item in found]) <= 0).all()


def test_an_image_finds_itself_and_its_copy_first(photos, index, model):
    (found,) = search(index, model, Query(str(photos / "03.png")), top_k=5)
    assert [item.path for item in found[:2]] == [
        str(photos / f"{n}.png") for n in ("03", "99 copy")
    ]
    assert found[0].similarity == pytest.approx(1, abs=1e-6) == found[1].similarity
    assert len(found) == 5
    (found,) = search(index, model, Query(str(photos / "03.png")), top_k=1)
    assert [item.path for item in found] == [str(photos / "03.png")]


def test_vectors_in_float16_take_half_the_disk(photos, index, model, tmp_path):
    folder = tmp_path / "half"
    with writing(folder, model, dtype="float16") as opened:
        update(opened, model, [photos], progress=False)
        rows, vectors = opened.table.rows(), opened.vectors(opened.live()[1])
        assert rows.dtype == np.float16 and vectors[:].dtype == np.float32
        np.testing.assert_array_equal(vectors[:], rows[:].astype(np.float32))
    sizes = [next(each.glob("vectors-1/rows.f*")).stat().st_size for each in (folder, index)]
    assert 2 * sizes[0] == sizes[1]
    query = Query(str(photos / "05.png"))
    (half,), (whole,) = search(folder, model, query), search(index, model, query)
    assert [item.path for item in half] == [item.path for item in whole]
    for one, other in zip(half, whole, strict=True):
        assert one.similarity == pytest.approx(other.similarity, abs=1e-3)
    with (
        pytest.raises(UserError, match=r"--vectors=float32: .* keeps them in float16"),
        writing(folder, model, dtype="float32"),
    ):
        pass
    with writing(folder, model) as opened:  # As it is.
        opened.compact(dead_share=-1)
        assert opened.table.rows().dtype == np.float16


def test_more_ranks_than_images(index, model, photos):
    found = search(index, model, *(Query(str(photos / f"0{n}.png")) for n in (1, 2)), top_k=1000)
    assert [len(ranked) for ranked in found] == [31, 31]


def test_order_is_that_of_float64_products(tmp_path):
    """Many rows and few ranks take the other way through the search."""
    contents = [f"content {number}".encode() for number in range(1000)]
    for number, content in enumerate(contents):
        write_file(tmp_path / "photos" / f"{number:04d}.jpg", content)
    model = StandIn()
    run(tmp_path / "index", tmp_path / "photos", model=model, batch_images=500)
    query = write_file(tmp_path / "query.jpg", b"a query")
    (found,) = search(tmp_path / "index", StandIn(), Query(str(query)), top_k=25)
    scores = [
        (-np.float32(vector_of(b"a query").astype(np.float64) @ vector_of(content)), number)
        for number, content in enumerate(contents)
    ]
    best = [str(tmp_path / "photos" / f"{number:04d}.jpg") for _, number in sorted(scores)[:25]]
    assert [item.path for item in found] == best


def test_a_box_is_what_its_cut_out_image_is(photos, index, model, tmp_path):
    with Image.open(photos / "07.png") as image:
        image.crop((5, 3, 40, 31)).save(tmp_path / "part.png")
    part, boxed = search(
        index,
        model,
        Query(str(tmp_path / "part.png")),
        Query(str(photos / "07.png"), (5, 3, 40, 31)),  # to the corner
    )
    assert part == boxed
    assert part != search(index, model, Query(str(photos / "07.png")))[0]


@pytest.mark.parametrize(
    "box", [(5, 3, 5, 20), (-1, 0, 9, 9), (0, 0, 41, 9), (0, 9, 9, 9), (0, 0, 9, 32)]
)
def test_boxes_that_are_no_part(photos, index, model, box):
    with pytest.raises(UserError, match=r"--box=.* within the 40 x 31 pixels of .*07.png"):
        search(index, model, Query(str(photos / "07.png"), box))


@pytest.mark.parametrize("box", [None, (0, 0, 5, 5)])
def test_queries_that_cannot_be_read(photos, index, model, tmp_path, box):
    with pytest.raises(UserError, match=r"absent.png: no such image"):
        search(index, model, Query(str(tmp_path / "absent.png"), box))
    text = write_file(tmp_path / "text.png", b"no image at all, but long enough")
    with pytest.raises(UserError, match=r"text.png: cannot be decoded"):
        search(index, model, Query(str(text), box))


def test_an_index_without_images(tmp_path, model):
    write_file(tmp_path / "photos" / "a.png", b"no image")
    run(tmp_path / "index", tmp_path / "photos", model=model)
    query = write_image(tmp_path / "query.png")
    with pytest.raises(UserError, match="holds no image yet"):
        search(tmp_path / "index", model, Query(query))
    with pytest.raises(ValueError, match=r"top_k must be at least 1\. Received: 0"):
        search(tmp_path / "index", model, Query(query), top_k=0)


@pytest.mark.parametrize("block_rows", [7, 1024])
def test_near_duplicates_against_a_loop(index, photos, monkeypatch, block_rows):
    monkeypatch.setattr("darac_tf.search.duplicates._BLOCK_ROWS", block_rows)
    paths = [path for path in sorted(photos.glob("*.png")) if path.name != "broken.png"]
    vectors = [by_hand(path) for path in paths]
    expected = {}
    for i, path in enumerate(paths):
        for j in range(i + 1, len(paths)):
            similarity = float(np.dot(vectors[i], vectors[j]))
            if similarity >= 0.3:
                expected[frozenset((str(path), str(paths[j])))] = similarity
    with Index(index) as opened:
        pairs = list(near_duplicates(opened, 0.3))
        assert [pair[1:] for pair in near_duplicates(opened, 1.0)] == [
            (str(photos / "03.png"), str(photos / "99 copy.png"))
        ]
        with pytest.raises(ValueError, match="Received: 0"):
            list(near_duplicates(opened, 0))
    assert 1 < len(expected) < 400
    assert len(pairs) == len(expected)
    for similarity, *both in pairs:
        assert similarity == pytest.approx(expected[frozenset(both)], abs=1e-5)


def test_the_same_pixels_in_other_files_are_duplicates_at_one(tmp_path, model):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    for level in (1, 9):
        path = tmp_path / "photos" / f"{level}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, compress_level=level)
    run(tmp_path / "index", tmp_path / "photos", model=model)
    with Index(tmp_path / "index") as opened:
        ((similarity, *paths),) = near_duplicates(opened, 1.0)
    assert similarity == pytest.approx(1, abs=1e-6) and len(set(paths)) == 2


def test_vectors_a_little_too_long_have_no_similarity_above_one(tmp_path):
    class Longer(StandIn):
        def __call__(self, data):
            vectors, valid = super().__call__(data)
            return 1.001 * vectors, valid

    path = write_file(tmp_path / "photos" / "a.jpg", b"a")
    run(tmp_path / "index", tmp_path / "photos", model=Longer())
    (found,) = search(tmp_path / "index", Longer(), Query(str(path)))
    assert [item.similarity for item in found] == [1]


def test_damaged_vectors_are_neither_found_nor_duplicates(tmp_path, monkeypatch):
    # Only the last rows are looked at without being asked.
    monkeypatch.setattr(feature_table, "_CHECKED_AT_ONCE", 1)
    paths = [str(write_file(tmp_path / "photos" / f"{name}.jpg", name.encode())) for name in "abcd"]
    run(tmp_path / "index", tmp_path / "photos")
    damage(tmp_path / "index", 1, vector_of(b"d"))
    with Index(tmp_path / "index") as opened:
        assert list(near_duplicates(opened, 0.99)) == []
        assert opened.table.damaged == 1
    (found,) = search(tmp_path / "index", StandIn(), Query(paths[3]), top_k=3)
    assert found[0].path == paths[3] and sorted(i.path for i in found) == [
        paths[i] for i in (0, 2, 3)
    ]
    damage(tmp_path / "index", 0, vector_of(b"d"))
    (found,) = search(tmp_path / "index", StandIn(), Query(paths[3]), top_k=1)
    assert [item.path for item in found] == [paths[3]]
