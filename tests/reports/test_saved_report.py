import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darac_tf.errors import UserError
from darac_tf.reports.saved_report import read_result, scores_of_model

GOOD = {
    "descriptor": "DARAC",
    "resolutions": [299, 0.5],
    "whitening": "PCA on Paris6k",
    "dataset": "Oxford5k",
    "protocol": "trapezoid AP",
    "database_size": 5063,
    "scores": {"mAP (Oxford)": 0.5, "mP@1": None},
    "per_query": [{"path": "a", "ap": 1 + 1e-7}, {"path": "b", "ap": None}],  # a rounded sum
}


def _write(folder, *results):
    (folder / "r.json").write_text(json.dumps({"results": results}))
    return str(folder / "r.json")


def test_reads_the_single_row_or_the_chosen_one(tmp_path):
    path = _write(tmp_path, GOOD)
    found = read_result(path)
    assert found.label == "DARAC, 299+x0.5, PCA on Paris6k"
    assert found.scores == {"mAP (Oxford)": 0.5, "mP@1": None}
    assert found.ap == {"ap": {"a": 1 + 1e-7, "b": None}}
    assert (found.notes, found.n_skipped, found.database_size) == ((), 0, 5063)
    path = _write(tmp_path, GOOD, GOOD | {"descriptor": "SPoC", "whitening": None})
    assert read_result(f"{path}#2").label == "SPoC, 299+x0.5"
    assert read_result(f"{path}#2").source == f"{path}#2"


def test_lists_the_rows_where_none_is_chosen(tmp_path):
    path = _write(tmp_path, GOOD, GOOD | {"descriptor": "SP\noC"})
    with pytest.raises(UserError, match=r"has 2 rows, choose one as .*#1: #1 DARAC.*; #2 SP\\noC"):
        read_result(path)


@pytest.mark.parametrize("row", ["0", "3", "999999999"])
def test_refuses_a_row_that_is_not_there(tmp_path, row):
    path = _write(tmp_path, GOOD, GOOD)
    with pytest.raises(UserError, match="rows #1 to #2 only"):
        read_result(f"{path}#{row}")


def test_a_file_whose_name_ends_like_a_row_is_read(tmp_path):
    (tmp_path / "r.json#2").write_text(json.dumps({"results": [GOOD]}))
    assert read_result(tmp_path / "r.json#2").dataset == "Oxford5k"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\xff\xfe", "no UTF-8 text"),
        (b"", "is no JSON"),
        (b"[" * 100_000, "is no JSON"),
        (b'{"results": [NaN]}', "NaN is not JSON"),
        (b"1" * 10_000, "is no JSON"),
        (b"[]", "no list of results"),
        (b'{"results": {}}', "no list of results"),
        (b'{"results": []}', "no list of results"),
        (b'{"results": [1]}', "#1: the row is no object"),
    ],
)
def test_refuses_what_is_no_report(tmp_path, content, message):
    path = tmp_path / "r.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_result(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"per_query": None}, "'per_query' is missing or no list"),
        ({"per_query": []}, "holds no queries"),
        ({"per_query": [[]]}, "holds no queries"),
        ({"per_query": [{"path": "a"}]}, "no average precision"),
        ({"per_query": [{"ap": 0.5}]}, "'path' is missing or no str"),
        ({"per_query": [{"path": 3, "ap": 0.5}]}, "'path' is missing or no str"),
        ({"per_query": [{"path": "a", "ap": 0.5}] * 2}, "'a' is listed twice"),
        ({"per_query": [{"path": "a", "ap": 0.5}, {"path": "b"}]}, "query 'b': 'ap' is no score"),
        ({"per_query": [{"path": "a", "ap": 1.5}]}, "no score"),
        ({"per_query": [{"path": "a", "ap": -0.1}]}, "no score"),
        ({"per_query": [{"path": "a", "ap": True}]}, "no score"),
        ({"per_query": [{"path": "a", "ap": "0.5"}]}, "no score"),
        ({"per_query": [{"path": "a", "ap": 10**400}]}, "no score"),
        ({"scores": {"mAP": [1]}}, "'mAP' is no score"),
        ({"scores": None}, "'scores' is missing or no dict"),
        ({"dataset": None}, "'dataset' is missing or no str"),
        ({"protocol": 1}, "'protocol' is missing or no str"),
        ({"database_size": True}, "'database_size' is missing or no int"),
        ({"database_size": "5063"}, "'database_size' is missing or no int"),
        ({"notes": "text"}, "'notes' is missing or no list"),
        ({"skipped": 3}, "'skipped' is missing or no list"),
    ],
)
def test_names_the_field_that_is_wrong(tmp_path, changed, message):
    path = _write(tmp_path, GOOD | changed)
    with pytest.raises(UserError, match=message) as caught:
        read_result(path)
    assert f"{path}#1" in str(caught.value)


def test_scores_of_a_model_are_those_of_its_name_sizes_and_dimension(tmp_path):
    row = GOOD | {"descriptor": "runs/run", "dimension": 4, "resolutions": ["32", "48"]}
    others = [{"dimension": 5}, {"descriptor": "b"}, {"resolutions": ["48", "32"]}]
    others += [{"resolutions": None}, {"descriptor": None}, {"dimension": None}]
    path = _write(tmp_path, *(row | other for other in others), row)
    (found,) = scores_of_model(path, "elsewhere/run", (32, 48), 4)
    assert found["scores"] == GOOD["scores"] and found["descriptor"] == "runs/run"
    assert found["whitening"] == "PCA on Paris6k" and found["post_processing"] is None
    with pytest.raises(UserError, match="has no row of run with 6 dimensions at 32"):
        scores_of_model(path, "run", (32,), 6)
    with pytest.raises(UserError, match="#1: 'scores' is missing or no dict"):
        scores_of_model(_write(tmp_path, row | {"scores": 3}), "run", (32, 48), 4)


TEXT = st.text("a\n\x1b<\ud800é", max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT | st.just("path"), inner),
    max_leaves=5,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([*GOOD, "notes", "skipped"]), JSON, max_size=3))
def test_any_json_is_read_or_refused_in_one_line(tmp_path_factory, changed):
    path = _write(tmp_path_factory.getbasetemp(), GOOD | changed)
    try:
        assert read_result(path).label.isprintable()
    except UserError as error:
        assert "\n" not in str(error)
