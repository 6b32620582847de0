"""The benchmark of peers: that each does the task it is timed on, and the table's arithmetic."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import darac_tf
from benchmarks.peers.contest import AbsentError, Contestant, Result, Task, compete
from benchmarks.peers.describers import Extraction
from benchmarks.peers.extraction import extraction_tasks
from benchmarks.peers.frozen_export import export_frozen, freeze
from benchmarks.peers.openvino_describers import ExportedOpenVINO
from benchmarks.peers.peak import multiply_adds_of, peak_rates, peak_tasks
from benchmarks.peers.report import worse_rows
from benchmarks.peers.search import BareProduct, ExactSearch, FaissFlat, search_tasks
from benchmarks.peers.table import left_out, ratio_to_base, share_of_peak, table
from benchmarks.peers.training import BareStep, Step
from darac_tf.data.images import decode_image
from darac_tf.errors import UserError
from tests.helpers import write_backbone, write_image

RELEASES = Path(__file__).resolve().parent.parent / "benchmarks" / "releases"
_MISSING = ("benchmarks.peers.contest:needed", {"module": "no_such_module", "package": "nowhere"})


@pytest.fixture
def search_task():
    """A small task of search, whose file lies there during the test."""
    yield from search_tasks(rows=300, dim=16, queries=4, top_k=20, wanted=lambda name: True)


@pytest.fixture
def photographs(tmp_path):
    return [write_image(tmp_path / f"{seed}.jpg", 48, 64, seed) for seed in range(3)]


def test_ratios_are_of_rounds():
    seconds = {"base": [1.0, 10.0, 2.0], "other": [3.0, 20.0, 8.0]}
    result = Result("a task, s", seconds, {"base": 10.4, "other": 20.6}, {"third": "pip install x"})
    # 3, 2 and 4 times as long; the ratio of the medians would be 4.
    assert ratio_to_base(result, "other") == 3
    assert table([result]).splitlines() == [
        "| task | contestant | median | ratio to the base | share of peak | peak MiB |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| a task, s | base | 2.0000 | 1.00 | - | 10 |",
        "| a task, s | other | 8.0000 | 3.00 | - | 21 |",
    ]
    assert left_out([result, result]) == ["left out: third (pip install x)"]


def test_shares_of_the_peak():
    (peak,) = peak_tasks()
    measured = Result(peak.title, {"float32": [2.0, 1.0], "int8": [0.5, 0.5]}, {}, {})
    names = ("darac_tf, float32", "darac_tf, int8", "darac_tf, exact search", "torchvision, int8")
    result = Result("a task", {name: [4.0, 2.0, 8.0] for name in names}, {}, {}, 2048**3)
    rates = peak_rates([result, measured])
    assert [share_of_peak(result, name, rates) for name in names] == [0.25, 0.125, 0.25, None]
    assert share_of_peak(result, names[0], {}) is None


def test_multiply_adds_by_hand(tmp_path):
    # 4 x 4 x 3 x 16 at each of 16 x 12 places, 3 x 3 x 16 x 16 at 8 x 6.
    by_hand = 16 * 12 * 4 * 4 * 3 * 16 + 8 * 6 * 3 * 3 * 16 * 16
    assert multiply_adds_of(write_backbone(tmp_path / "a.keras"), [(64, 48)]) == by_hand


@pytest.mark.slow
@pytest.mark.parametrize("name", ["EfficientNetLite0", "MobileNetV2"])
def test_multiply_adds(name):
    # Google's README of EfficientNet-Lite has 407 M for Lite0 at 224; Sandler et al. 300 M for
    # MobileNetV2, both with the last 1.3 M of the classifier.
    published = {"EfficientNetLite0": 407e6, "MobileNetV2": 300e6}[name]
    assert multiply_adds_of(name, [(224, 224)]) == pytest.approx(published, rel=0.06)


def test_what_got_worse_by_more_than_its_spread(tmp_path):
    before = {"a": {"base": [1, 1, 1], "slow": [2, 2, 2], "wide": [1, 2, 3], "gone": [1, 1, 1]}}
    file = tmp_path / "report.json"
    tasks = [{"title": title, "seconds": seconds} for title, seconds in before.items()]
    file.write_text(json.dumps({"tasks": tasks}))
    now = Result(
        "a", {"base": [2, 2, 2], "slow": [5, 5, 5], "wide": [5, 5, 5], "new": [9, 9, 9]}, {}, {}
    )
    assert worse_rows([now, now._replace(title="b")], file) == ["a: slow: 2.50, was 2.00"]
    with pytest.raises(UserError, match="is no report"):
        worse_rows([], tmp_path / "none.json")


def test_the_report_of_the_release_can_be_compared_with():
    file = RELEASES / darac_tf.__version__ / "report.json"
    tasks = json.loads(file.read_text())["tasks"]
    kinds = [task["title"].split()[0].rstrip(":") for task in tasks]
    assert kinds == ["peak", "extraction", "training", "search"]
    same = [Result(task["title"], task["seconds"], {}, {}) for task in tasks]
    assert worse_rows(same, file) == []
    slower = [
        result._replace(
            seconds={
                name: [each * (1 if place == 0 else 10) for each in values]
                for place, (name, values) in enumerate(result.seconds.items())
            }
        )
        for result in same
    ]
    assert len(worse_rows(slower, file)) == sum(len(task["seconds"]) - 1 for task in tasks)


def test_contestants_take_turns(search_task):
    base, how = next(iter(search_task.contestants.items()))
    task = Task("two", {base: how, "missing": _MISSING, "again": how}, (), count=2)
    result = compete(task, repeats=3)
    assert result.absent == {"missing": "pip install nowhere"}
    assert list(result.seconds) == list(result.peaks) == [base, "again"]
    assert all(len(own) == 3 and min(own) > 0 for own in result.seconds.values())
    assert all(10 < peak < 1000 for peak in result.peaks.values())


def test_a_base_must_be_there():
    with pytest.raises(UserError, match="the base: pip install nowhere"):
        compete(Task("one", {"the base": _MISSING}), repeats=1)


def test_a_process_that_ends_is_named(search_task):
    factory, settings = next(iter(search_task.contestants.values()))
    with Contestant("broken", factory, settings | {"file": "no such file"}) as broken:
        assert broken.absent() is None
        with pytest.raises(UserError, match="broken: its process ended"):
            broken.seconds()
    assert not broken._process.is_alive()


def test_all_find_the_same(search_task):
    settings = next(iter(search_task.contestants.values()))[1]
    products = np.concatenate(list(BareProduct(**settings).products()), axis=1)
    expected = np.argsort(-products, axis=1, kind="stable")[:, :20]
    rows, scores = ExactSearch(**settings).run()
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(products, expected, 1), atol=1e-6)


# After TensorFlow has looked for a GPU's driver in vain, torch wonders why it fails.
@pytest.mark.filterwarnings("ignore:CUDA initialization")
@pytest.mark.parametrize("peer", ["faiss", "torch"])
def test_peers_find_the_same(search_task, peer):
    pytest.importorskip(peer, reason=f"{peer} is not installed")
    from benchmarks.peers.torch_search import TorchSearch

    settings = next(iter(search_task.contestants.values()))[1]
    contestant = {"faiss": FaissFlat, "torch": TorchSearch}[peer](**settings)
    np.testing.assert_array_equal(contestant.run()[0], ExactSearch(**settings).run()[0])


@pytest.mark.slow
def test_the_export_describes_as_the_extraction(tmp_path, photographs):
    network = {"backbone": write_backbone(tmp_path / "small.keras"), "weights": None}
    sizes = [32, 48]
    own = Extraction(
        **network, paths=photographs, batch_pixels=5000, engine="tensorflow", precision="float32"
    ).run(sizes, 3)
    export_frozen(tmp_path / "frozen.pb", **network, sizes=sizes)
    images = tf.stack([decode_image(tf.io.read_file(path)) for path in photographs])
    frozen = _run_frozen(tmp_path / "frozen.pb", images)
    assert own.shape == (3, 16)
    np.testing.assert_allclose(frozen, own, atol=1e-4)
    if importlib.util.find_spec("openvino") is not None:
        graph = str(tmp_path / "frozen.pb")
        on_openvino = ExportedOpenVINO(graph, photographs, 5000, "float32").run(sizes, 3)
        np.testing.assert_allclose(on_openvino, own, atol=1e-4)


def _run_frozen(file, images):
    """Runs a frozen graph in TensorFlow, from pixels to the descriptors."""
    definition = tf.compat.v1.GraphDef.FromString(file.read_bytes())
    graph = tf.compat.v1.wrap_function(
        lambda: tf.compat.v1.import_graph_def(definition, name=""), []
    ).prune("pixels:0", "Identity:0")
    return graph(images).numpy()


class Pixels(tf.Module):
    """Something with a signature `pixels`, as exports have it."""

    def __init__(self, describe):
        super().__init__()
        self._weight = tf.Variable(2.0)
        spec = tf.TensorSpec([None, None, None, 3], tf.uint8, name="pixels")
        call = tf.function(lambda pixels: describe(pixels) * self._weight, [spec])
        self.signatures = {"pixels": call.get_concrete_function()}


def test_openvino_describes_files(tmp_path, photographs):
    pytest.importorskip("openvino", reason="openvino is not installed")
    freeze(
        Pixels(lambda pixels: tf.reduce_mean(tf.cast(pixels, tf.float32), [1, 2])), tmp_path / "x"
    )
    contestant = ExportedOpenVINO(str(tmp_path / "x"), photographs, 64 * 48 * 2, "float32")
    expected = [
        2 * decode_image(tf.io.read_file(path)).numpy().mean((0, 1)) for path in photographs
    ]
    np.testing.assert_allclose(contestant.run([64], 3), expected, rtol=1e-4)


def test_openvino_says_what_it_cannot_convert(tmp_path, photographs):
    pytest.importorskip("openvino", reason="openvino is not installed")
    freeze(
        Pixels(lambda pixels: tf.linalg.det(tf.cast(pixels[:, :3, :3, 0], tf.float32))),
        tmp_path / "x",
    )
    with pytest.raises(AbsentError, match=r"^OpenVINO \S+ has no conversion rule for MatrixDet"):
        ExportedOpenVINO(str(tmp_path / "x"), photographs, 10_000, "float32")


def test_tasks_of_extraction(photographs, tmp_path):
    network = {"backbone": write_backbone(tmp_path / "small.keras"), "weights": None}
    tasks = extraction_tasks(network, photographs, [30, 60], 1, 100, wanted=lambda name: False)
    # 1 image at both sizes has 4500 squares: as many as 5 images at 30, of which there are 3.
    assert [(task.request, task.count) for task in tasks] == [
        (([30], 3), 3),
        (([60], 1), 1),
        (([30, 60], 1), 1),
    ]


@pytest.mark.slow
def test_training_steps(tmp_path):
    backbone = write_backbone(tmp_path / "small.keras")
    for contestant in (Step, BareStep):
        made = contestant(backbone, None, count=8, side=32)
        losses = [made._call() for _ in range(4)]
        assert losses[3] != losses[0]  # after the warm-up's first steps weights have changed
        made.run()


def test_triplets_of_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from benchmarks.peers.torchvision_training import hard_triplets

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = [0, 0, 1, 1, 2, 2]
    lacking = []
    for one, own in enumerate(labels):
        cosines = vectors @ vectors[one]
        positive = min(c for c, other in zip(cosines, labels, strict=True) if other == own)
        negative = max(c for c, other in zip(cosines, labels, strict=True) if other != own)
        lacking.append(max(0.2 + negative - positive, 0))
    found = hard_triplets(torch.from_numpy(vectors), torch.tensor(labels))
    assert float(found) == pytest.approx(np.mean(lacking))


@pytest.mark.slow
def test_the_command(tmp_path, run_command):
    command = "benchmarks.peers --tasks=search --rows=300 --dim=16 --queries=4 --top_k=20"
    flags = "--only=darac_tf", f"--out={tmp_path / 'out'}"
    status, output, last = run_command(*command.split(), *flags)
    assert status == 0, last
    assert (tmp_path / "out" / "table.md").read_text() == output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["rows"] == 300 and report["environment"]["numpy"] == np.__version__
    (task,) = report["tasks"]
    assert list(task["seconds"]) == ["bare blocked product, NumPy", "darac_tf, exact search"]
    assert task["ratios"]["bare blocked product, NumPy"] == 1
    rows = [line for line in output.splitlines() if line.startswith("| search")]
    assert len(rows) == 2
