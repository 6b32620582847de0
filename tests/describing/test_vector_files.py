"""Vectors of other programs: every layout ranks as a plain product does; faults are named."""

import csv
from dataclasses import replace

import numpy as np
import pytest

from darac_tf.data import load_benchmark
from darac_tf.data.labelled import LabelledImages, read_csv
from darac_tf.describing.vector_files import load_vectors, write_folder, write_image_list
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.options import list_images, measure
from darac_tf.evaluation.task import benchmark_task, labelled_task
from darac_tf.metrics import plain_average_precision
from tests.data.benchmarks import synthetic

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
LABELS = np.array([0, 0, 0, 1, 1, 2, 2, 2])
PATHS = [f"photos/{label}/{place}.jpg" for place, label in enumerate(LABELS)]
VECTORS = np.random.default_rng(7).normal(3.0, 2.0, (8, 6)).astype(np.float32)  # not unit vectors


@pytest.fixture(scope="module")
def task():
    names = tuple(map(str, np.unique(LABELS)))
    paths = np.array([f"/data/{path}" for path in PATHS])
    return labelled_task(LabelledImages("set", paths, LABELS, names, np.full(8, "")))


def lists(vectors):
    return pa.array([row.tolist() for row in vectors], pa.list_(pa.float32()))


def npy(folder, vectors, paths):
    np.save(folder / "a.npy", vectors)
    return "a.npy"


def npy_with_csv(folder, vectors, paths):
    turned = np.random.default_rng(1).permutation(len(paths))
    np.save(folder / "a.npy", np.asfortranarray(vectors[turned].astype(np.float64)))
    with (folder / "a.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path"], *([f"./{paths[place]}"] for place in turned)])
    return "a.npy"


def npy_with_a_short_csv(folder, vectors, paths):
    (folder / "a.csv").write_text("\n".join(["path", *paths[1:]]), encoding="utf-8")
    return npy(folder, vectors, paths)


def npy_with_parquet(folder, vectors, paths):
    np.save(folder / "a.npy", vectors[::-1])
    pq.write_table(pa.table({"image_path": paths[::-1], "caption": [""] * 8}), folder / "a.parquet")
    return "a.npy"


def parquet(folder, vectors, paths):
    whole = [f"/data/{path}" for path in paths]
    table = pa.table({"path": whole[::-1], "embedding": lists(vectors[::-1])})
    pq.write_table(table, folder / "a.parquet", row_group_size=3)
    return "a.parquet"


def parquet_with_ids(folder, vectors, paths):
    turned = np.random.default_rng(2).permutation(len(paths))
    values = pa.array(vectors[turned].ravel())
    vectors = pa.FixedSizeListArray.from_arrays(values, vectors.shape[1])
    pq.write_table(pa.table({"id": turned, "v": vectors}), folder / "a.parquet")
    return "a.parquet"


def folder_of_parts(folder, vectors, paths):
    for name in ("img_emb", "metadata", "text_emb"):
        (folder / "a" / name).mkdir(parents=True, exist_ok=True)
    for number, span in (("00", slice(5, None)), ("01", slice(5))):
        np.save(folder / "a" / "img_emb" / f"img_emb_{number}.npy", vectors[span])
        table = pa.table({"image_path": paths[span], "width": [1] * len(paths[span])})
        pq.write_table(table, folder / "a" / "metadata" / f"metadata_{number}.parquet")
    return "a"


@pytest.mark.parametrize(
    "layout",
    [npy, npy_with_csv, npy_with_parquet, parquet, parquet_with_ids, folder_of_parts],
)
def test_every_layout_gives_the_rankings_of_a_plain_product(task, tmp_path, layout):
    file = load_vectors(str(tmp_path / layout(tmp_path, VECTORS, PATHS)))
    (row,) = evaluate([file], task, Settings())
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)
    for query in range(8):
        order = [place for place in np.argsort(-unit @ unit[query]) if place != query]
        assert row.rankings.rows[query].tolist() == order
        right = [place for place in order if LABELS[place] == LABELS[query]]
        assert row.result.per_query[query]["ap"] == plain_average_precision(order, right)
    assert row.result.dimension == 6 and "made by something else" in row.result.notes[-1]


def test_what_is_written_is_read(tmp_path):
    paths = [*PATHS[:-1], "photos/a\udce9b.jpg"]
    write_folder(tmp_path / "a", VECTORS, paths, np.float16)
    assert np.load(tmp_path / "a/img_emb/img_emb_0.npy").dtype == np.float16
    file = load_vectors(str(tmp_path / "a"))
    images = read_csv_of(tmp_path, paths).image_list()
    np.testing.assert_array_equal(file.rows_of(images), np.arange(8))
    np.testing.assert_allclose(
        file.vectors, VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True), atol=1e-3
    )


def read_csv_of(folder, paths):
    rows = [(f"/data/{path}", str(label), "") for path, label in zip(paths, LABELS, strict=True)]
    LabelledImages.from_rows("set", rows).write_csv(folder / "set.csv")
    return read_csv(folder / "set.csv")


def changed(**rows):
    vectors = VECTORS.copy()
    for row, value in rows.items():
        vectors[int(row[1:])] = value
    return vectors


@pytest.mark.parametrize(
    ("layout", "vectors", "paths", "message"),
    [
        (npy, VECTORS[:7], PATHS, "has 7 vectors, and 8 images are measured"),
        (npy, VECTORS[0], PATHS, r"float vectors of one length are wanted, and it has float32 \(6"),
        (npy, VECTORS.astype(int), PATHS, "float vectors of one length are wanted"),
        (npy, VECTORS.astype(object), PATHS, "Python objects in dtype"),
        (npy, changed(r3=np.nan), PATHS, r"row 3 of the vectors in .*a\.npy holds NaN"),
        (npy, changed(r3=0), PATHS, r"the vector of /data/photos/1/3\.jpg is all zeros"),
        (npy_with_a_short_csv, VECTORS, PATHS, "8 vectors, and 7 rows of 'path'"),
        (npy_with_parquet, VECTORS, [*PATHS[:7], "b.jpg"], r"no vector of /data/photos/2/7\.jpg"),
        (npy_with_parquet, VECTORS, [*PATHS[:7], PATHS[0]], "two vectors of photos/0/0.jpg"),
        (folder_of_parts, VECTORS, [f"x/{path}" for path in PATHS], "8 of 8 images have no"),
        (parquet_with_ids, VECTORS[:7], PATHS[:7], "has 7 vectors, and 8 images are measured"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(task, tmp_path, layout, vectors, paths, message):
    name = layout(tmp_path, vectors, paths)
    with pytest.raises(UserError, match=message) as caught:
        list(evaluate([load_vectors(str(tmp_path / name))], task, Settings()))
    assert "\n" not in str(caught.value)


def test_images_without_a_vector_come_last_on_request(task, tmp_path):
    file = load_vectors(str(tmp_path / parquet(tmp_path, changed(r2=0)[:7], PATHS[:7])))
    (row,) = evaluate([file], task, Settings(skip_bad=True))
    assert [image["path"] for image in row.result.skipped] == list(task.images.paths[[2, 7]])
    assert set(row.rankings.rows[0, -2:]) == {2, 7}
    assert "all zeros" in row.result.skipped[0]["reason"]


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"text")
    (tmp_path / "a.parquet").write_bytes(b"text")
    (tmp_path / "img_emb").mkdir()
    pq.write_table(pa.table({"a": lists(VECTORS), "b": lists(VECTORS)}), tmp_path / "two.parquet")
    pq.write_table(pa.table({"a": pa.array([[1.0], [1.0, 2.0]])}), tmp_path / "uneven.parquet")
    pq.write_table(pa.table({"a": pa.array([[1.0], None])}), tmp_path / "null.parquet")
    table = pa.table({"id": [0, 0], "a": pa.array([[1.0], [2.0]])})
    pq.write_table(table, tmp_path / "ids.parquet")
    names = ("a.npy", "a.parquet", "", "two.parquet", "uneven.parquet", "null.parquet")
    for name in (*names, "ids.parquet", "gone.npy", "gone.parquet"):
        with pytest.raises(UserError, match="--descriptors: can't read the vectors of") as caught:
            load_vectors(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_two_images_do_not_share_a_name(tmp_path, task):
    paths = np.array([f"/{name}/{path}" for name in "ab" for path in PATHS[:4]])
    images = replace(task.images, paths=paths)
    file = load_vectors(str(tmp_path / npy_with_parquet(tmp_path, VECTORS, PATHS)))
    with pytest.raises(UserError, match=r"is the end of /a/.* and of /b/.*: name images by longer"):
        file.rows_of(images)


def test_boxes_of_a_benchmark(tmp_path):
    task = benchmark_task(load_benchmark("oxford5k", synthetic.write_oxford(tmp_path / "oxford")))
    vectors = np.random.default_rng(0).normal(size=(len(task.images), 5)).astype(np.float32)
    np.save(tmp_path / "in_order.npy", vectors)
    np.save(tmp_path / "named.npy", vectors)
    write_image_list(tmp_path / "named.csv", task.images)
    files = [load_vectors(str(tmp_path / f"{name}.npy")) for name in ("in_order", "named")]
    in_order, named = evaluate(files, task, Settings())
    np.testing.assert_array_equal(in_order.rankings.rows, named.rankings.rows)
    assert in_order.result.scores == named.result.scores
    whole = read_csv_lines(tmp_path / "named.csv")
    (tmp_path / "named.csv").write_text("\n".join(line.split(",")[1] for line in whole))
    with pytest.raises(UserError, match=r"has two vectors of|has no vector of the box"):
        list(evaluate([load_vectors(str(tmp_path / "named.npy"))], task, Settings()))


def read_csv_lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_from_the_list_of_images_to_a_whitened_row(tmp_path):
    rows = [(f"{i}.jpg", str(i % 4), "train" if i < 30 else "test") for i in range(50)]
    LabelledImages.from_rows("set", rows).write_csv(tmp_path / "set.csv")
    config = EvalConfig(
        list_images=str(tmp_path / "v.csv"),
        dataset="csv",
        data_dir=str(tmp_path / "set.csv"),
        split="test",
        whiten_dataset="csv",
        whiten_data_dir=str(tmp_path / "set.csv"),
        whiten_split="train",
    )
    assert list_images(config).endswith("v.csv: 50 images")
    lines = read_csv_lines(tmp_path / "v.csv")
    assert len(lines) == 51 and lines[0] == "id,path,xmin,ymin,xmax,ymax,quarter_turns"
    vectors = np.random.default_rng(3).normal(size=(50, 4))
    np.save(tmp_path / "v.npy", vectors)
    config = replace(config, list_images=None, descriptors=[str(tmp_path / "v.npy")])
    plain, whitened = measure(replace(config, expansion="average", expansion_n=2))
    assert plain.result.whitening is None and whitened.result.dimension == 4
    # The first 20 lines are the test images.
    unit = vectors[20:] / np.linalg.norm(vectors[20:], axis=1, keepdims=True)
    np.testing.assert_allclose(whitened.whitening.mean, unit.mean(0), atol=1e-6)
    assert whitened.whitening.image_keys is None  # No file is there.
    with pytest.raises(UserError, match="the whitening is fitted on 20 of the 20 test images"):
        list(measure(replace(config, whiten_split=None)))
    (tmp_path / "v.csv").unlink()
    with pytest.raises(UserError, match="name the image of each vector"):
        list(measure(config))
