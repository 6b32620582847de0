"""What the page answers: descriptions, searches, pictures, duplicates."""

import base64
import io
import itertools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from darac_tf.web import duplicate_groups
from darac_tf.web.collection import _folders
from tests.helpers import write_image
from tests.search.collection import damage, entries, run
from tests.search.small_model import StandIn, vector_of
from tests.web.conftest import MOST_PIXELS, ODD_NAMES


def sent(vector):
    return {"vector": base64.b64encode(np.asarray(vector, "<f4")).decode()}


def by_a_loop(place, vector, folder=None):
    """Paths and cosines of each content, best first, by products in float64."""
    found = {}
    for path, own in entries(place.index).items():
        if folder is None or path.startswith(f"{folder}/"):
            score = float(own.astype(np.float64) @ vector / np.linalg.norm(vector))
            found.setdefault(own.tobytes(), (score, set()))[1].add(path)
    return sorted(found.values(), key=lambda each: -each[0])


def assert_found(answer, expected):
    assert answer["total"] == len(expected)
    for result, (score, paths) in zip(answer["results"], expected, strict=True):
        assert result["similarity"] == pytest.approx(score, abs=1e-6)
        assert paths <= set(result["paths"])


def test_a_picture_finds_itself_and_then_what_is_most_like_it(place):
    data = (place.photos / "a" / "2.png").read_bytes()
    part = place.ask("describe", content=data)
    answer = place.search(plus=[part], count=100)
    assert answer["results"][0]["paths"] == [str(place.photos / "a" / "2.png")]
    assert_found(answer, by_a_loop(place, vector_of(data).astype(np.float64)))
    # Found by its row, it needs no description.
    row = answer["results"][0]["row"]
    assert place.search(plus=[{"row": row}], count=100) == answer


def test_a_part_is_what_pillow_cuts_out(place):
    path = place.photos / "b" / "5.png"  # 40 wide, 35 high
    with Image.open(path) as image:
        cut = np.asarray(image.crop((10, 7, 30, 28)))
    expected = sent(vector_of(tf.io.encode_png(cut).numpy()))
    box = "?part=0.25,0.2,0.75,0.8"
    assert place.ask(f"describe{box}", content=path.read_bytes()) == expected
    assert place.ask(place.address("describe", path) + box, content=b"") == expected
    for wrong in ("0.5,0,0.5,1", "0,0,1.1,1", "nan,0,1,1", "0,0,1", "a,b,c,d"):
        error = place.ask(f"describe?part={wrong}", content=path.read_bytes(), status=400)["error"]
        assert "part" in error


def test_several_pictures_are_their_mean_less_half_of_those_not_wanted(place):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3, 48)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    one, two, three = map(sent, vectors)
    expected = (vectors[0] + vectors[1]) / 2.0 - vectors[2] / 2.0
    assert_found(
        place.search(plus=[one, two], minus=[three], count=100), by_a_loop(place, expected)
    )
    assert_found(place.search(minus=[one], count=100), by_a_loop(place, -vectors[0]))
    assert "nothing is left" in place.search(plus=[one, sent(-vectors[0])], status=400)["error"]


def test_pages_of_a_folder_follow_each_other(place):
    state = place.ask("state")
    assert state["images"] == 12 and state["root"] == str(place.photos)
    names = [os.path.basename(each["path"]) for each in state["folders"]]  # noqa: PTH119
    assert (names, [each["images"] for each in state["folders"]]) == (["a", "b"], [5, 8])
    vector, below = np.random.default_rng(1).normal(size=48), str(place.photos / "b")
    part = sent(vector / np.linalg.norm(vector))
    expected = by_a_loop(place, vector, place.photos / "b")
    for query in ({"plus": [part]}, {}):
        pages = [place.search(**query, folder=below, offset=n, count=3) for n in (0, 3, 6)]
        assert [page["next"] for page in pages] == [3, 6, 8]
        results = list(itertools.chain(*(page["results"] for page in pages)))
        if query:
            assert_found({"total": pages[0]["total"], "results": results}, expected)
        else:
            assert [each["row"] for each in results] == sorted(each["row"] for each in results)
        # The copy in the folder stands before the one outside.
        assert all("/photos/b/" in each["paths"][0] for each in results)
    assert "no such folder" in place.search(folder=below[:-1], status=410)["error"]


def test_folders_of_several_disks_are_below_the_root():
    counts = {b"/home/a": 3, b"/home/a/b\xff": 1, b"/mnt": 2}
    expected = [(b"/home", 4), (b"/home/a", 4), (b"/home/a/b\xff", 1), (b"/mnt", 2)]
    assert _folders(counts) == ("/", expected)


def test_a_damaged_vector_is_neither_found_nor_counted(own_place):
    damage(own_place.index, 3, np.ones(48, np.float32))
    answer = own_place.search(plus=[sent(vector_of(b"any"))], count=100)
    assert len(answer["results"]) == answer["total"] == answer["next"] == 11


def test_thumbnails_are_made_once_and_files_are_as_they_were_indexed(own_place, monkeypatch):
    path = own_place.photos / "a" / "4.png"
    thumbnail, file = (own_place.address(kind, path) for kind in ("thumbnail", "file"))
    first = own_place.ask(thumbnail)
    with Image.open(io.BytesIO(first)) as image:
        assert image.format == "JPEG" and image.size == (256, 218)
    assert own_place.ask(file) == path.read_bytes()
    with Image.open(io.BytesIO(own_place.ask(own_place.address("picture", path)))) as image:
        assert max(image.size) == 1024
    monkeypatch.setattr(own_place.collection, "picture", None)  # Nothing is made again.
    assert own_place.ask(thumbnail) == first
    shutil.copy(own_place.photos / "b" / "1.png", path)
    assert own_place.ask(thumbnail) == first
    assert "changed" in own_place.ask(file, status=410)["error"]
    path.unlink()
    assert "gone" in own_place.ask(file, status=410)["error"]


def test_a_damaged_or_read_only_store_of_thumbnails_is_made_anew(own_place, caplog):
    store = own_place.collection.thumbnails
    store._db.close()
    store._path.write_bytes(b"no database at all" * 100)
    again = type(store)(own_place.index)
    again.put(b"key", b"jpeg")
    assert again.get(b"key") == b"jpeg" and "is made anew" in caplog.text
    again.keep(np.zeros((1, 24), np.uint8))
    assert again.get(b"key") is None
    elsewhere = type(store)(own_place.folder / "absent")
    elsewhere.put(b"key", b"jpeg")
    assert elsewhere.get(b"key") == b"jpeg" and "can't be kept" in caplog.text


def test_names_stay_text(place, monkeypatch):
    page = place.ask("").decode()
    assert "<b>index" not in page and "an &lt;b&gt;index" in page
    with monkeypatch.context() as changed:
        changed.setattr(place.collection, "folder", Path("/photos/no\udcfftext"))
        assert "no\\udcfftext" in place.ask("").decode()
    paths = {path for each in place.search(count=100)["results"] for path in each["paths"]}
    for name in ODD_NAMES:
        assert os.fsdecode(os.fsencode(place.photos) + b"/b/" + name) in paths


def groups_of(place, threshold):
    query = {"generation": place.collection.snapshot.generation, "threshold": threshold}
    while (answer := place.ask("duplicates", query))["share"] < 1 and not answer["fault"]:
        pass
    return answer


def test_groups_of_duplicates_against_a_loop(own_place, monkeypatch):
    monkeypatch.setattr(duplicate_groups, "FLOOR", 0.01)
    threshold = 0.18
    vectors = {row.tobytes(): path for path, row in sorted(entries(own_place.index).items())}
    groups = [{key} for key in vectors]
    for one, two in itertools.combinations(vectors, 2):
        if np.frombuffer(one, "<f4") @ np.frombuffer(two, "<f4") >= threshold:
            (left,), (right,) = ([g for g in groups if key in g] for key in (one, two))
            if left is not right:
                groups.remove(right)
                left |= right
    expected = {frozenset(vectors[key] for key in g) for g in groups if len(g) > 1}
    assert len(expected) > 1  # Else the test says little.
    answer = groups_of(own_place, threshold)
    found = [each["results"] for each in answer["groups"]]
    assert {frozenset(r["paths"][0] for r in g) for g in found if len(g) > 1} == expected
    assert [len(g) for g in found] == sorted(map(len, found), reverse=True)
    # One content in two files is a group of its own.
    ((copies,),) = [each["results"] for each in groups_of(own_place, 1.0)["groups"]]
    assert len(copies["paths"]) == 2
    # Of too many pairs the most similar stay.
    best = max(
        float(np.frombuffer(one, "<f4") @ np.frombuffer(two, "<f4"))
        for one, two in itertools.combinations(vectors, 2)
    )
    monkeypatch.setattr(duplicate_groups, "_MOST_PAIRS", 2)
    own_place.ask("take_in", {})
    answer = groups_of(own_place, 0.01)
    assert answer["floor"] == pytest.approx(best)
    assert [each["images"] for each in answer["groups"]] == [2, 1]


def test_duplicates_of_a_content_that_came_back_are_those_of_the_next_index(own_place):
    path = own_place.photos / "a" / "2.png"
    data = path.read_bytes()
    path.unlink()
    run(own_place.index, own_place.photos)
    own_place.ask("take_in", {})
    for name in ("one.png", "two.png"):
        (own_place.photos / name).write_bytes(data)
    run(own_place.index, own_place.photos)
    assert len(groups_of(own_place, 1.0)["groups"]) == 1
    own_place.ask("take_in", {})
    assert len(groups_of(own_place, 1.0)["groups"]) == 2


def test_an_index_that_grows_is_said_and_taken_in_when_asked(own_place):
    before, row = own_place.search(count=100), own_place.row(own_place.photos / "a" / "2.png")
    write_image(own_place.photos / "c" / "new.png", 30, 30, seed=77)
    run(own_place.index, own_place.photos)
    state = own_place.ask("state")
    assert (state["images"], state["more"], state["is_changed"]) == (12, 1, True)
    assert own_place.search(count=100) == before
    state = own_place.ask("take_in", {})
    assert (state["images"], state["more"], state["is_changed"]) == (13, 0, False)
    assert own_place.row(own_place.photos / "a" / "2.png") == row
    assert len(own_place.search(count=100)["results"]) == 13


def test_an_index_that_is_rewritten_goes_on_until_it_is_taken_in(own_place):
    generation = own_place.collection.snapshot.generation
    vector = sent(vector_of(b"any"))
    before = own_place.search(plus=[vector], count=100)["results"]
    thumbnail = own_place.address("thumbnail", own_place.photos / "b" / "1.png")
    shutil.rmtree(own_place.photos / "a")
    run(own_place.index, own_place.photos)
    assert not (own_place.index / "vectors-1").exists()
    assert own_place.ask("state")["is_changed"]
    after = own_place.search(plus=[vector], count=100)["results"]
    assert after == [
        {**each, "paths": own_paths}
        for each in before
        if (own_paths := [path for path in each["paths"] if "/photos/a/" not in path])
    ]
    own_place.ask("take_in", {})
    for path in (thumbnail, thumbnail.replace("thumbnail", "file")):
        assert "load this page again" in own_place.ask(path, status=410)["error"]
    assert own_place.ask("search", {"generation": generation}, 410)
    assert own_place.search(plus=[vector], count=100)["results"] == [
        {**each, "row": own_place.row(each["paths"][0])} for each in after
    ]


def test_an_index_of_another_model_or_a_broken_one_is_not_taken_in(own_place, monkeypatch):
    before = own_place.search(count=100)
    other = StandIn()
    other.fingerprint = "1" * 32
    shutil.move(own_place.index, own_place.folder / "old")
    run(own_place.index, own_place.photos, model=other)
    assert "another model" in own_place.ask("take_in", {}, 400)["error"]
    (own_place.index / "index.json").write_text("{}", encoding="utf-8")
    assert "damaged" in own_place.ask("take_in", {}, 400)["error"]
    assert own_place.search(count=100) == before


def test_what_is_no_picture_is_refused_and_the_page_goes_on(place):
    large = io.BytesIO()
    Image.new("1", (MOST_PIXELS, 2)).save(large, "png")
    for data, text in (
        (b"", "the image is empty"),
        (b"no picture", "cannot be decoded"),
        (b"bad", "cannot be decoded"),
        (large.getvalue(), "allows no more"),
    ):
        error = place.ask("describe", content=data, status=400)["error"]
        assert error.startswith("the picture") and text in error and "darac-" not in error
        error = place.ask("picture", content=data, status=400)["error"]
        assert (text in error) or data == b"bad"
    assert place.ask("state")["images"] == 12


@pytest.mark.parametrize(
    "query",
    [
        {"plus": [{"vector": "!"}]},
        {"plus": [{"vector": ""}]},
        {"plus": [{"row": "1"}]},
        {"plus": [sent(np.full(48, np.nan))]},
        {"plus": [sent(np.zeros(48))]},
        {"plus": [7], "minus": {}},
        {"plus": [{}] * 1000},
        {"count": 0},
        {"count": 10**9},
        {"offset": -1},
        {"offset": True},
        {"folder": 0},
        {"folder": ["b"]},
    ],
)
def test_queries_that_are_none_are_refused(place, query):
    assert place.search(**query, status=400)["error"]


def test_requests_that_are_none_are_refused(place):
    for content, kind, status in (
        (b"[]", "application/json", 400),
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"{}", "text/plain", 415),
    ):
        place.ask("search", content=content, headers={"Content-Type": kind}, status=status)
    for row in (99, 10**30):
        generation = place.collection.snapshot.generation
        assert "no such image" in place.ask(f"file/{generation}/{row}", status=410)["error"]
        assert place.search(plus=[{"row": row}], status=410)
    for threshold in (0, 1.5, "1", None):
        query = {"generation": place.collection.snapshot.generation, "threshold": threshold}
        assert place.ask("duplicates", query, 400)
    assert place.ask("absent", status=404)["error"]
