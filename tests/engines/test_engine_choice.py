"""Choosing an engine: names, absence, and what descriptors kept on disk depend on."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest

from darac_tf.choices import ENGINES
from darac_tf.describing.extraction import extract_features
from darac_tf.describing.feature_cache import FeatureCache
from darac_tf.describing.sources import Source, load_sources
from darac_tf.engines import Calibration, EngineSettings, make_engine
from darac_tf.engines.inference_copy import POLICIES
from darac_tf.errors import UserError
from darac_tf.evaluation.options import measure
from tests.engines.networks import parts
from tests.evaluation.test_options import DEFAULTS
from tests.helpers import write_backbone, write_collection


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "torch"}, "--engine=torch is unknown; choose from tensorflow, openvino"),
        ({"precision": "int8"}, "--precision=int8 is for --engine=openvino"),
        ({"engine": "openvino", "precision": "int8"}, "--precision=int8 needs --calibration"),
        ({"calibration": Calibration([], "")}, "--calibration is for --precision=int8"),
        ({"precision": "int4"}, "--precision=int4 is unknown; choose from float32, bfloat16"),
    ],
)
def test_unknown_names(options, message):
    with pytest.raises(UserError, match=message):
        EngineSettings(**options)


def test_absence_of_the_optional_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UserError, match="pip install openvino") as caught:
        make_engine(EngineSettings("openvino"), *parts())
    assert "\n" not in str(caught.value)


def test_keys_differ_by_engine_and_precision():
    network, preprocessing, poolings = parts()
    layers = {"gem": (network, preprocessing, poolings["gem"])}
    sources = [Source(("gem",), None, layers)]
    for engine, precision in itertools.product(ENGINES, POLICIES):
        sources.append(Source(("gem",), None, layers, EngineSettings(engine, precision)))
    for images in "ab":
        int8 = EngineSettings("openvino", "int8", Calibration([], images))
        sources.append(Source(("gem",), None, layers, int8))
    keys = [source.fingerprints()["gem"] for source in sources]
    assert len(set(keys)) == len(keys) == 7
    assert keys == [source.fingerprints()["gem"] for source in sources]


def test_descriptors_of_another_precision_are_not_taken_from_disk(tmp_path):
    backbone = write_backbone(tmp_path / "small.keras")
    paths = sorted(map(str, write_collection(tmp_path / "set", 2, 2).rglob("*.jpg")))
    found = []
    for precision in (*POLICIES, "float32"):
        (source,) = load_sources([f"{backbone}+gem"], engine=EngineSettings(precision=precision))
        cache = FeatureCache(tmp_path / "cache", source.fingerprints())
        features = extract_features(source.describe, paths, [48], cache, progress=False)
        found.append(np.asarray(features[48][f"{backbone}+gem"]))
        assert source.describe.traces == (len(found) < 3)  # the last is on disk
    assert 1e-5 < np.abs(found[0] - found[1]).max() < 0.05
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"matching": "local"}, "are for --matching=global"),
        ({"descriptors": []}, "--descriptors is missing"),
    ],
)
def test_options_that_do_not_fit(tmp_path, changes, message):
    photos = {"data_dir": str(write_collection(tmp_path / "set", 2, 2)), "precision": "bfloat16"}
    with pytest.raises(UserError, match=message):
        list(measure(replace(DEFAULTS, **photos, **changes)))


def test_options_reach_the_engine(tmp_path):
    options = replace(
        DEFAULTS,
        descriptors=[f"{write_backbone(tmp_path / 'small.keras')}+gem"],
        data_dir=str(write_collection(tmp_path / "set", 3, 3)),
        resolutions=["48"],
        cache_dir=str(tmp_path / "cache"),
    )
    for precision in POLICIES:
        list(measure(replace(options, precision=precision)))
    assert len(list((tmp_path / "cache").iterdir())) == 2
