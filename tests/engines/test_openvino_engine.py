"""The OpenVINO engine; skipped where the optional package is not installed."""

import pytest

pytest.importorskip("openvino", reason="openvino is not installed: pip install openvino")

from tests.engines.engine_checks import check_engine


def test_vectors():
    check_engine("openvino", 1e-3)
