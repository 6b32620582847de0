"""Published models against networks of PyTorch and of plain ops, and files that are none."""

import io
import pickle
import shutil
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from darac_tf.describing.combination import Vectors
from darac_tf.describing.sizes import Factor
from darac_tf.errors import UserError
from darac_tf.evaluation.config import EvalConfig
from darac_tf.evaluation.paper_tables import load_rows, measure_table, with_published
from darac_tf.models import build_descriptor, load_descriptor
from darac_tf.models.backbones import build_backbone
from darac_tf.models.resnet_v15 import resnet_v15
from darac_tf.models.torch_files import read_torch_file
from darac_tf.published import networks
from darac_tf.published.cirtorch import from_cirtorch
from darac_tf.published.convert import convert, read_published
from darac_tf.published.dirtorch import from_dirtorch
from darac_tf.published.slim import _as_in_slim, _names, slim_resnet50
from darac_tf.systems.published import as_published, whitening_file
from darac_tf.systems.published import read_published as read_facts
from darac_tf.whitening import check_not_test_set, load_whitening
from tests.helpers import slow_but, write_collection
from tests.published.torch_models import (
    COLOURS,
    FOLDER,
    MADE,
    SCALES,
    SIZES,
    STORED,
    images,
    make_resnet,
)

RUNS = ("cirtorch_gem", "dirtorch")


def check(descriptor, expected):
    for size, vectors in zip(SIZES, expected, strict=True):
        np.testing.assert_allclose(descriptor(images(size)), vectors, atol=1e-4)


def check_several(descriptor, how, whitening, expected):
    """At several sizes, combined and whitened as an evaluation does it."""
    sizes = [Factor(scale, kernel="bilinear") for scale in SCALES]
    parts = [descriptor(size.resize(images(SIZES[0]))).numpy() for size in sizes]
    vectors = Vectors(parts, how["combination"], how.get("exponent"), whitening)
    np.testing.assert_allclose(vectors[:], expected, atol=1e-4)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The folder of run directories of two stored files, and the `Published` of each by name."""
    folder = tmp_path_factory.mktemp("published")
    return folder, {name: convert(FOLDER / f"{name}.pth", folder / name) for name in RUNS}


@pytest.fixture(scope="module")
def runs(converted):
    return converted[0]


@pytest.mark.slow
def test_regional_descriptors_are_those_of_pytorch():
    name = "cirtorch_gem_regional"
    with np.load(FOLDER / f"{name}.npz") as stored:
        found = read_published(FOLDER / f"{name}.pth", "spoc")
        check(found.descriptor, [stored["arr_0"], stored["arr_1"]])
        check_several(found.descriptor, found.evaluation, None, stored["several"])


@pytest.mark.parametrize("name", RUNS)
def test_descriptors_are_those_of_pytorch(name, converted):
    runs, published = converted
    facts, descriptor = read_facts(runs / name), published[name].descriptor
    with np.load(FOLDER / f"{name}.npz") as stored:
        check(descriptor, [stored["arr_0"], stored["arr_1"]])
        whitening = load_whitening(whitening_file(runs / name, len(SCALES)))
        check_several(descriptor, facts["evaluation"], whitening, stored["several"])
    assert facts["layout"] == name.split("_")[0] and facts["mean"] == COLOURS["mean"]


@pytest.mark.parametrize("name", slow_but(["cirtorch_gem"], RUNS))
def test_the_run_directory_gives_the_descriptor_back(name, converted):
    runs, published = converted
    pixels = images(SIZES[1])
    found = load_descriptor(runs / name)(pixels)
    np.testing.assert_array_equal(found, published[name].descriptor(pixels))


@pytest.mark.parametrize("name", MADE)
def test_more_descriptors_are_those_of_pytorch(name, tmp_path):
    torch = pytest.importorskip("torch")
    content, expected, several = MADE[name]()
    torch.save(content, tmp_path / "file.pth")
    found = read_published(tmp_path / "file.pth", "spoc")
    check(found.descriptor, expected)
    of_sizes = found.whitenings.get(found.whitening.get("several"))
    check_several(found.descriptor, found.evaluation, of_sizes, several)


@pytest.fixture(scope="module")
def contents():
    return {name: read_torch_file(FOLDER / f"{name}.pth") for name in STORED}


def test_settings_as_published(runs):
    run = str(runs / "cirtorch_gem")
    how = {"resolutions": ["0.5..1@1024"], "combination": "gmean", "whitening": run}
    found = as_published("gem", [run])
    assert found.pop("exponent") == pytest.approx(2.6) and found == how
    assert as_published("dir", [run]) == as_published("gem", ["nowhere"]) == {}
    with pytest.raises(UserError, match="measure it alone"):
        as_published("gem", [run, str(runs / "dirtorch")])
    (row,) = [row for row in load_rows("comparison") if row.system == "gem"]
    first, second = with_published([row], runs)
    assert first is row and second.settings()["resolutions"] == how["resolutions"]
    assert second.paper == row.paper and second.whiten


@pytest.mark.slow
def test_as_its_authors_measure(runs, tmp_path, run_command):
    photos = write_collection(tmp_path / "photos", classes=2, images=2)
    run = runs / "cirtorch_gem"
    words = (f"--descriptors={run}", f"--data_dir={photos}", "--pictured_queries=0")
    status, printed, error = run_command("eval.py", "--system=gem", *words)
    assert not status, error
    assert "Lw on retrieval-SfM-120k" in printed and "gmean, p = 2.6" in printed
    assert "x0.5@1024+x0.7071@1024+x1@1024" in printed
    assert "- The whitening is published, fitted on retrieval-SfM-120k" in printed
    assert [line.count("| 12 |") for line in printed.splitlines()[2:4]] == [0, 1]  # Lw to 12.


@pytest.mark.slow
def test_a_row_of_the_table_as_published(runs, tmp_path):
    config = EvalConfig(
        table="comparison",
        table_sets=[f"folder:{write_collection(tmp_path / 'photos', classes=2, images=2)}"],
        runs_dir=str(runs),
    )
    rows = [line.split("|")[1:-1] for line in measure_table(config).splitlines() if "|" in line]
    rows = [[cell.strip() for cell in row] for row in rows]
    found = {row[0]: row[3:] for row in rows if row[2] == "as published"}
    assert found.keys() == {"GeM", "DIR"}
    assert found["GeM"][0] == "x0.5@1024+x0.7071@1024+x1@1024" and found["DIR"][0] == "x1"
    assert all(0 < float(row[1]) <= 100 for row in found.values())


def test_learned_whitening(contents, runs):
    whitening = load_whitening(whitening_file(runs / "cirtorch_gem", 1))
    assert "only the name is known" in check_not_test_set(whitening, [], test_name="oxford5k")
    with pytest.raises(UserError, match="may be test images"):
        check_not_test_set(whitening, [], test_name="rsfm: Retrieval_SfM_120k")
    parts = contents["cirtorch_gem"]["meta"]["Lw"]["retrieval-SfM-120k"]["ss"]
    x = np.random.default_rng(0).normal(size=len(parts["m"]))
    expected = parts["P"] @ (x - parts["m"][:, 0])
    np.testing.assert_allclose(whitening.projection @ (x - whitening.mean), expected)


def test_pca_of_scikit_learn(contents, runs):
    whitening = load_whitening(runs / "dirtorch" / "whitening-Landmarks_clean.npz")
    pca = contents["dirtorch"]["pca"]["Landmarks_clean"]
    x = np.random.default_rng(0).normal(size=16)
    expected = pca["components_"] @ (x - pca["mean_"]) / pca["explained_variance_"] ** 0.25
    np.testing.assert_allclose(whitening.projection @ (x - whitening.mean), expected)


CHANGES = [
    (lambda c: c["meta"].update(architecture="vgg16"), "its architecture is 'vgg16'; resnet50"),
    (lambda c: c["meta"].update(pooling="netvlad"), "its pooling is 'netvlad'; gem, mac"),
    (lambda c: c["meta"].update(whitening=True), "says whitening=True, and has other tensors"),
    (lambda c: c["meta"].update(std=[1, 0, 1]), "mean and deviation of colours are not three"),
    (lambda c: c["meta"].update(local_whitening=True), "whitens local features"),
    (lambda c: c["state_dict"].pop("pool.p"), r"no exponent of GeM \(pool\.p\)"),
    (
        lambda c: c["state_dict"].update({"pool.p": np.array([0.7])}),
        "by the exponent of its GeM, 0.7, which must be at least 1",
    ),
    (
        lambda c: c["state_dict"].pop("features.4.0.conv2.weight"),
        r"no tensor 'features\.4\.0\.conv2\.weight'",
    ),
    (lambda c: c["state_dict"].update(extra=np.zeros(3)), "'extra' is of no layer of resnet50"),
    (
        lambda c: c["state_dict"].update({"features.1.bias": np.zeros(3)}),
        r"'features\.1\.bias' has the shape \(3,\), and resnet50v1_5 needs \(2,\)",
    ),
    (
        lambda c: c["state_dict"].update({"features.1.bias": np.full(2, np.nan)}),
        r"'features\.1\.bias' is not finite",
    ),
]


@pytest.fixture(scope="module")
def narrow_resnet():
    return resnet_v15("ResNet50v1.5", 2)


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message for _, message in CHANGES])
def test_what_does_not_fit_is_named(contents, narrow_resnet, change, message, monkeypatch):
    monkeypatch.setattr(networks, "resnet_v15", lambda name, width: narrow_resnet)
    content = {name: dict(part) for name, part in contents["cirtorch_gem"].items() if part != 3}
    change(content)
    with pytest.raises(UserError, match=message):
        from_cirtorch(content, "file.pth")


def test_what_does_not_fit_is_named_in_the_other_layout(contents):
    content = dict(contents["dirtorch"])
    options = content["model_options"]
    with pytest.raises(UserError, match="is a se_resnet50_rmac_x"):
        from_dirtorch(content | {"model_options": options | {"arch": "se_resnet50_rmac_x"}}, "f")
    state = {n: t for n, t in content["state_dict"].items() if "fc." not in n}
    with pytest.raises(UserError, match=r"no tensor 'fc\.weight'"):
        from_dirtorch(content | {"state_dict": state}, "f")


class Attack:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("name", ["attack", "nothing", "list"])
def test_other_files(name, tmp_path, capsys):
    path = tmp_path / "file.pth"
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        content = {"attack": {"meta": {}, "state_dict": Attack()}, "list": [1], "nothing": {}}[name]
        archive.writestr("file/data.pkl", pickle.dumps(content, 2))
    path.write_bytes(written.getvalue())
    message = "asks for __builtin__.print" if name == "attack" else "is no model of cnnimage"
    with pytest.raises(UserError, match=message):
        convert(path, tmp_path / "run")
    assert not (tmp_path / "run").exists() and not capsys.readouterr().out


def test_an_earlier_run_stays(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="exists already"):
        convert(FOLDER / "dirtorch.pth", tmp_path / "run")


def test_a_network_of_torchvision(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network, channels = make_resnet(64)
    state = network.state_dict() | {"fc.weight": torch.zeros(1000, channels)}
    torch.save(state, tmp_path / "resnet50.pth")
    backbone, preprocessing = build_backbone("ResNet50v1.5", str(tmp_path / "resnet50.pth"))
    assert preprocessing.mode == "torch"
    for size in ((224, 224), (299, 299), (75, 33)):
        pixels = images(size)[:1] / 128.0 - 1.0
        with torch.no_grad():
            maps = network(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()
        expected = maps.transpose(0, 2, 3, 1)
        np.testing.assert_allclose(backbone(pixels), expected, atol=1e-4, rtol=1e-5)
    found = read_published(tmp_path / "resnet50.pth", "rmac").descriptor
    same = build_descriptor("ResNet50v1.5", str(tmp_path / "resnet50.pth"), "rmac")
    np.testing.assert_allclose(found(images((64, 64))), same(images((64, 64))), atol=1e-6)


def test_weights_of_a_resnet_by_name():
    with pytest.raises(UserError, match=r"give their file as --backbone_weights=FILE\.pth"):
        build_backbone("ResNet101v1.5")


def slim_maps(x, weights):
    """`resnet_v2_50` of TF-Slim in plain ops, from its names."""

    def norm(x, name):
        parts = (weights[f"{name}/{part}"] for part in _STATISTICS)
        return tf.nn.batch_normalization(x, *parts, variance_epsilon=1e-5)

    def same(x, name, stride):
        kernel = weights[f"{name}/weights"]
        around = (kernel.shape[0] - 1) // 2
        if stride > 1:  # conv2d_same of TF-Slim
            x = tf.pad(x, [[0, 0], [around, around], [around, around], [0, 0]])
        x = tf.nn.conv2d(x, kernel, stride, "VALID" if stride > 1 else "SAME")
        return x + weights[f"{name}/biases"] if f"{name}/biases" in weights else x

    x = tf.nn.max_pool2d(same(x, "conv1", 2), 3, 2, "SAME")
    for block, units in enumerate((3, 4, 6, 3), 1):
        for unit in range(1, units + 1):
            stride = 2 if unit == units and block < 4 else 1
            name = f"block{block}/unit_{unit}/bottleneck_v2"
            before = tf.nn.relu(norm(x, f"{name}/preact"))
            if f"{name}/shortcut/weights" in weights:
                around = same(before, f"{name}/shortcut", 1)
            else:
                around = x[:, ::stride, ::stride]
            y = tf.nn.relu(norm(same(before, f"{name}/conv1", 1), f"{name}/conv1/BatchNorm"))
            y = tf.nn.relu(norm(same(y, f"{name}/conv2", stride), f"{name}/conv2/BatchNorm"))
            x = around + same(y, f"{name}/conv3", 1)
    return tf.nn.relu(norm(x, "postnorm"))


_STATISTICS = ("moving_mean", "moving_variance", "beta", "gamma")


@pytest.mark.slow
def test_a_checkpoint_of_slim(tmp_path):
    keras.utils.set_random_seed(0)
    network = keras.applications.ResNet50V2(False, None, input_shape=(None, None, 3))
    rng = np.random.default_rng(0)
    weights = {}
    for layer in network.layers:
        for name, weight in zip(_names(layer), layer.get_weights(), strict=True):
            spread = rng.uniform(0.5, 1.5, weight.shape) if weight.ndim == 1 else 1.0
            weights[name] = (weight + 0.1 * (weight.ndim == 1)) * spread
            weights[name] = weights[name].astype(np.float32)
    variables = {f"resnet_v2_50/{n}": tf.Variable(w) for n, w in weights.items()}
    saver = tf.compat.v1.train.Saver(variables)
    path = saver.save(None, str(tmp_path / "resnet_v2_50.ckpt"), write_meta_graph=False)
    found = slim_resnet50(path)
    for size in ((96, 64), (75, 33)):
        pixels = images(size)[:1] / 128.0 - 1.0
        expected = slim_maps(pixels, weights)
        np.testing.assert_allclose(found(pixels), expected, atol=1e-4, rtol=1e-4)
    assert _as_in_slim(network).get_layer("post_bn").epsilon == 1e-5
    for file in tmp_path.glob("resnet_v2_50.ckpt.data*"):
        shutil.copy(file, tmp_path / file.name.replace("resnet", "other"))
    with pytest.raises(UserError, match="is no checkpoint that can be read"):
        slim_resnet50(tmp_path / "other_v2_50.ckpt")
