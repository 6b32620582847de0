"""Oxford5k, Paris6k and their revisited forms: every layout, and what is refused."""

import pickle
import shutil

import numpy as np
import pytest

from darac_tf.data.benchmarks import load_benchmark, oxford
from darac_tf.data.benchmarks.published import PARIS_CORRUPT
from darac_tf.errors import UserError
from tests.data.benchmarks.synthetic import BOX, write_oxford, write_revisited
from tests.helpers import write_image


def _names(paths):
    return [path.rpartition("/")[2].removesuffix(".jpg") for path in paths]


def _by_name(benchmark):
    """Query name to the sets of names that it lists."""
    names = np.array(_names(benchmark.database.paths))
    return {
        query: {kind: set(names[lists[i]]) for kind, lists in benchmark.relevance.items()}
        for i, query in enumerate(_names(benchmark.queries.paths))
    }


def _change(folder, change, kind="oxford5k"):
    """Rewrites the pickle after `change(truth)`."""
    path = folder / f"gnd_{kind}.pkl"
    truth = pickle.loads(path.read_bytes())
    path.write_bytes(pickle.dumps(change(truth) or truth))
    return folder


@pytest.mark.parametrize("paris", [False, True])
@pytest.mark.parametrize("ground_truth", ["pkl", "mat", "text"])
def test_oxford_layouts(tmp_path, ground_truth, paris):
    kind = "paris6k" if paris else "oxford5k"
    folder = write_oxford(tmp_path / "data", ground_truth, paris)
    benchmark = load_benchmark(kind, folder)
    prefix = "paris_" if paris else ""
    assert benchmark.protocol == "oxford" and len(benchmark.database) == 27
    np.testing.assert_array_equal(
        benchmark.database.paths[benchmark.own_rows], benchmark.queries.paths
    )
    lists = _by_name(benchmark)
    assert set(lists) == {f"{prefix}{name}_000000" for name in ("arch", "tower", "palace")}
    for query, entry in lists.items():
        stem = query.removesuffix("0")
        assert entry["positives"] == {f"{stem}{i}" for i in range(6)}
        assert entry["junk"] == {f"{stem}6"}
    np.testing.assert_array_equal(benchmark.queries.boxes, np.tile(BOX, (3, 1)))
    assert benchmark.database.boxes is None
    assert "cropped to their boxes, as published" in " ".join(benchmark.notes)
    whole = load_benchmark(kind, folder, crop_queries=False)
    assert whole.queries.boxes is None and "NOT cropped" in " ".join(whole.notes)


@pytest.mark.parametrize("paris", [False, True])
@pytest.mark.parametrize("ground_truth", ["pkl", "mat"])
def test_revisited_layouts(tmp_path, ground_truth, paris):
    kind = "rparis6k" if paris else "roxford5k"
    benchmark = load_benchmark(kind, write_revisited(tmp_path, ground_truth, paris))
    assert benchmark.protocol == "revisited" and benchmark.own_rows is None
    assert len(benchmark.database) == 24
    assert not set(benchmark.queries.paths) & set(benchmark.database.paths)
    for query, entry in _by_name(benchmark).items():
        stem = query.removesuffix("0")
        assert entry == {
            "easy": {f"{stem}{i}" for i in (1, 2, 3)},
            "hard": {f"{stem}{i}" for i in (4, 5)},
            "junk": {f"{stem}6"},
        }
    np.testing.assert_array_equal(benchmark.queries.boxes, np.tile(BOX, (3, 1)))


@pytest.mark.parametrize("place", ["", "jpg", "images"])
def test_places_of_images(tmp_path, place):
    folder = write_oxford(tmp_path / "data")
    shutil.move(folder / "jpg", tmp_path / "jpg")
    (folder / place).mkdir(exist_ok=True)
    for path in (tmp_path / "jpg").iterdir():
        shutil.move(path, folder / place)
    assert len(load_benchmark("oxford5k", folder).database) == 27


def test_text_lists_leave_out_the_broken_images_of_paris(tmp_path):
    folder = write_oxford(tmp_path, "text", paris=True)
    for name in PARIS_CORRUPT:
        (folder / "jpg" / "arch" / f"{name}.jpg").write_bytes(b"<html>")
    with (folder / "gt" / "arch_1_junk.txt").open("a") as file:
        file.write("paris_louvre_000136\n")
    benchmark = load_benchmark("paris6k", folder)
    assert len(PARIS_CORRUPT) == 20 and len(benchmark.database) == 27
    assert "broken are left out" in benchmark.notes[-1]
    assert [len(junk) for junk in benchmark.relevance["junk"]] == [1, 1, 1]


def test_text_queries_count_past_nine(tmp_path):
    folder = write_oxford(tmp_path, "text")
    for kind in ("good", "ok", "junk", "query"):
        for number in (2, 10):
            shutil.copy(
                folder / "gt" / f"arch_1_{kind}.txt", folder / "gt" / f"arch_{number}_{kind}.txt"
            )
    (folder / "gt" / "arch_10_query.txt").write_text("oxc1_arch_000001 0 0 9 9\n")
    names = _names(load_benchmark("oxford5k", folder).queries.paths)
    assert names[:3] == ["arch_000000", "arch_000000", "arch_000001"]


def test_bytes_and_python_2_style_pickles(tmp_path):
    def as_bytes(value):
        if isinstance(value, dict):
            return {key.encode(): as_bytes(item) for key, item in value.items()}
        if isinstance(value, list):
            return [as_bytes(item) for item in value]
        return value.encode() if isinstance(value, str) else value

    plain = _by_name(load_benchmark("oxford5k", write_oxford(tmp_path)))
    assert _by_name(load_benchmark("oxford5k", _change(tmp_path, as_bytes))) == plain


def test_repetitions_in_lists_change_nothing(tmp_path):
    def repeat(truth):
        truth["gnd"][0]["ok"] = tuple(truth["gnd"][0]["ok"] * 2)

    plain = _by_name(load_benchmark("oxford5k", write_oxford(tmp_path)))
    assert _by_name(load_benchmark("oxford5k", _change(tmp_path, repeat))) == plain


def _set(*path_and_value):
    *path, key, value = path_and_value

    def change(truth):
        for step in path:
            truth = truth[step]
        truth[key] = value

    return change


def _drop(*path):
    def change(truth):
        for step in path[:-1]:
            truth = truth[step]
        del truth[path[-1]]

    return change


def _repeat_name(truth):
    truth["imlist"][1] = truth["imlist"][0]


def _right_and_junk(truth):
    truth["gnd"][0]["junk"].append(truth["gnd"][0]["ok"][0])


def _unknown_query(qidx):
    def change(truth):
        truth["qimlist"][0] = "x"
        truth["qidx"] = truth["qidx"] if qidx else None

    return change


def _no_queries(truth):
    truth.update(qimlist=[], gnd=[], qidx=[])


ERRORS = [
    (_set("gnd", 0, "ok", 0, 27), r"query arch_000000 lists image 27 in 'ok'.* 0 to 26"),
    (_set("gnd", 1, "junk", 0, -1), r"query tower_000000 lists image -1 in 'junk'"),
    (_set("gnd", 0, "ok", 0, 1.0), r"query arch_000000 has float in 'ok'"),
    (_set("gnd", 0, "ok", 0, True), r"query arch_000000 has bool in 'ok'"),
    (_set("gnd", 0, "ok", 0, "x"), r"has str in 'ok'"),
    (_set("gnd", 0, "ok", "x"), r"query arch_000000 has no list 'ok'"),
    (_drop("gnd", 2, "junk"), r"query palace_000000 has no list 'junk'"),
    (_set("gnd", 0, "ok", []), r"query arch_000000 has no right image"),
    (_drop("gnd", 2, "bbx"), r"query palace_000000 has no box"),
    (_set("gnd", 2, "bbx", [1, 2, 3]), r"query palace_000000 has no box"),
    (_set("gnd", 2, "bbx", [1, 2, 3, float("nan")]), r"query palace_000000 has no box"),
    (
        _set("gnd", 1, "bbx", [0, 0, 66, 40]),
        r"box of query tower_000000 \(0 0 66 40\) reaches beyond .*64 x 48",
    ),
    (_set("gnd", 1, "bbx", [-1.5, 0, 60, 40]), r"box of query tower_000000 .* reaches beyond"),
    (_set("gnd", 1, "bbx", [9, 9, 9, 40]), r"box of query tower_000000 \(9 9 9 40\) is empty"),
    (_set("gnd", 1, "bbx", [30, 9, 9, 40]), r"box of query tower_000000 .* is empty"),
    (_set("gnd", 0, 5), r"query arch_000000 must hold a dict"),
    (_drop("gnd", 0), r"'gnd' must have one entry for each of the 3 queries"),
    (_drop("gnd"), r"'gnd' must have one entry"),
    (_drop("imlist"), r"no list 'imlist'"),
    (_drop("qimlist"), r"no list 'qimlist'"),
    (_set("imlist", 0, 5), r"'imlist' must hold names only"),
    (_set("imlist", 0, "../../etc/passwd"), r"'../../etc/passwd' is no plain image name"),
    (_set("imlist", 0, "a\nb"), r"no plain image name"),
    (_set("imlist", 0, ""), r"no plain image name"),
    (_set("qidx", 0, 3), r"query arch_000000 is image \d+, and 'qidx' says 3"),
    (_set("qidx", 0, [[]]), r"query arch_000000 is image \d+, and 'qidx' says list"),
    (_set("qidx", []), r"'qidx' must have a row for each query"),
    (_no_queries, r"no queries in it"),
    (lambda truth: [1], r"the file must hold a dict"),
    (_repeat_name, r"is listed twice, as images 0 and 1"),
    (_right_and_junk, r"query arch_000000 lists \w+ as right and as junk"),
    (_unknown_query(qidx=True), r"query x is not in the image list, and 'qidx' says"),
    (_unknown_query(qidx=False), r"query image x is not in the image list"),
]


@pytest.mark.parametrize(("change", "message"), ERRORS)
def test_damaged_ground_truth_names_the_item(tmp_path, change, message):
    folder = _change(write_oxford(tmp_path), change)
    with pytest.raises(UserError, match=rf"gnd_oxford5k\.pkl: .*{message}") as caught:
        load_benchmark("oxford5k", folder)
    assert "\n" not in str(caught.value)


def test_boxes_are_not_looked_at_when_they_are_not_used(tmp_path):
    folder = _change(write_oxford(tmp_path), _set("gnd", 1, "bbx", [0, 0, 99, 99]))
    assert load_benchmark("oxford5k", folder, crop_queries=False).queries.boxes is None


def test_a_box_on_the_border_is_cut_to_the_image(tmp_path):
    folder = _change(write_oxford(tmp_path), _set("gnd", 0, "bbx", [-0.4, 0, 64.9, 48]))
    np.testing.assert_array_equal(
        load_benchmark("oxford5k", folder).queries.boxes[0], [0, 0, 64, 48]
    )


def test_missing_images(tmp_path):
    folder = write_oxford(tmp_path)
    (folder / "jpg" / "arch_000001.jpg").unlink()
    (folder / "jpg" / "tower_000004.jpg").unlink()
    with pytest.raises(
        UserError, match=r"lists \w+_00000\d, .* \(2 of 27 are missing\).*--check_data"
    ):
        load_benchmark("oxford5k", folder)


def test_missing_images_of_text_lists(tmp_path):
    folder = write_oxford(tmp_path, "text")
    (folder / "jpg" / "arch_000001.jpg").unlink()
    with pytest.raises(UserError, match=r"lists arch_000001, .* \(1 of 27 are missing\)"):
        load_benchmark("oxford5k", folder)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("arch_1_query.txt", "oxc1_arch_000000 1 2 3\n", "name xmin ymin xmax ymax"),
        ("arch_1_query.txt", "oxc1_arch_000000 1 2 3 x\n", "name xmin ymin xmax ymax"),
        ("arch_1_query.txt", "", "name xmin ymin xmax ymax"),
        ("arch_1_good.txt", "../x\n", "no plain image name"),
        ("arch_1_ok.txt", None, "can't be read .* needs its good, ok, junk and query file"),
    ],
)
def test_damaged_text_lists(tmp_path, file, text, message):
    path = write_oxford(tmp_path, "text") / "gt" / file
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=f"{file}.*{message}"):
        load_benchmark("oxford5k", tmp_path)


def test_an_unreadable_query_image(tmp_path):
    (write_oxford(tmp_path) / "jpg" / "arch_000000.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"arch_000000\.jpg: the image is empty"):
        load_benchmark("oxford5k", tmp_path)


def test_revisited_queries_must_be_outside(tmp_path):
    def put_in(truth):
        truth["imlist"].append(truth["qimlist"][1])

    folder = _change(write_revisited(tmp_path), put_in, "roxford5k")
    with pytest.raises(UserError, match="query image tower_000000 is image 24 of the database"):
        load_benchmark("roxford5k", folder)


def test_revisited_queries_may_lack_easy_images(tmp_path):
    folder = _change(write_revisited(tmp_path), _set("gnd", 0, "easy", []), "roxford5k")
    assert load_benchmark("roxford5k", folder).relevance["easy"][0].size == 0


def test_folders_without_ground_truth(tmp_path):
    write_image(tmp_path / "jpg" / "a.jpg")
    with pytest.raises(
        UserError, match=r"neither gnd_oxford5k\.pkl nor gnd_oxford5k\.mat, nor \*_query"
    ):
        load_benchmark("oxford5k", tmp_path)
    with pytest.raises(UserError, match=r"neither gnd_rparis6k\.pkl nor gnd_rparis6k\.mat;"):
        load_benchmark("rparis6k", tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        load_benchmark("oxford5k", tmp_path / "absent")


def test_options_are_checked(tmp_path):
    for arguments, message in [
        (("oxford6k", tmp_path), "choose from oxford5k, paris6k, roxford5k, rparis6k, holidays"),
        (("oxford5k", None), "needs --data_dir"),
        (
            ("oxford5k", tmp_path, True, "upright"),
            "--orientation=upright is for --dataset=holidays",
        ),
        (("oxford5k", tmp_path, True, "up"), "choose from upright, stored, list"),
        (("holidays", tmp_path, True, "list"), "needs --rotation_list"),
        (("holidays", tmp_path, True, "upright", "x.txt"), "needs --orientation=list"),
    ]:
        with pytest.raises(UserError, match=message):
            load_benchmark(*arguments)


def _with_images(monkeypatch, tmp_path, truth):
    """Pretends that all images are there: writing 12,000 files takes long."""
    files = oxford.image_files("oxford5k", tmp_path)
    files.paths |= {name: tmp_path / f"{name}.jpg" for name in truth["imlist"]}
    monkeypatch.setattr(oxford, "image_files", lambda kind, data_dir: files)


@pytest.mark.parametrize(("kind", "images"), [("oxford5k", 5063), ("paris6k", 6392)])
def test_published_ground_truth(shared_data, tmp_path, monkeypatch, kind, images):
    source = shared_data / "ground_truth" / f"gnd_{kind}.pkl"
    shutil.copy(source, tmp_path)
    truth = pickle.loads(source.read_bytes())
    _with_images(monkeypatch, tmp_path, truth)
    assert not PARIS_CORRUPT & set(truth["imlist"])
    benchmark = load_benchmark(kind, tmp_path, crop_queries=False)
    assert len(benchmark.database) == images and len(benchmark.queries) == 55
    assert _names(benchmark.database.paths) == truth["imlist"]
    assert _names(benchmark.queries.paths) == truth["qimlist"]
    assert benchmark.own_rows.tolist() == truth["qidx"]
    for i, entry in enumerate(truth["gnd"]):
        assert benchmark.relevance["positives"][i].tolist() == sorted(entry["ok"])
        assert benchmark.relevance["junk"][i].tolist() == sorted(entry["junk"])
        assert benchmark.own_rows[i] in benchmark.relevance["positives"][i]


@pytest.mark.parametrize("kind", ["oxford5k", "paris6k"])
def test_published_boxes(shared_data, tmp_path, monkeypatch, kind):
    source = shared_data / "ground_truth" / f"gnd_{kind}.pkl"
    shutil.copy(source, tmp_path)
    truth = pickle.loads(source.read_bytes())
    _with_images(monkeypatch, tmp_path, truth)
    monkeypatch.setattr(oxford, "stored_size", lambda path: (1024, 1024))
    boxes = load_benchmark(kind, tmp_path).queries.boxes
    assert boxes.tolist() == [entry["bbx"] for entry in truth["gnd"]]


def test_ok_of_the_pickle_is_good_and_ok_of_the_text(shared_data):
    folder = shared_data / "ground_truth"
    good = set((folder / "oxford_all_souls_1_good.txt").read_text().split())
    truth = pickle.loads((folder / "gnd_oxford5k.pkl").read_bytes())
    assert truth["qimlist"][0] == "all_souls_000013"
    positives = {truth["imlist"][row] for row in truth["gnd"][0]["ok"]}
    # 24 good images and 54 ok ones.
    assert len(good) == 24 and len(positives) == 78 and good < positives
