"""The serving kit: its files are what TensorFlow Serving's messages hold, its ports are local."""

import re
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from tensorflow_serving.config import model_server_config_pb2

from benchmarks.serving_load import ENVIRONMENT
from tests.conftest import REPOSITORY
from tests.serving.servicer import serving

KIT = REPOSITORY / "serving"
INT64, STRING, INT64S, BOOL = "int64 value", "string value", "int64 list", "bool"
# tensorflow-serving-api lacks these two messages: their fields, as TensorFlow Serving 2.x has them.
BATCHING = {
    "max_batch_size": (1, INT64),
    "batch_timeout_micros": (2, INT64),
    "max_enqueued_batches": (3, INT64),
    "num_batch_threads": (4, INT64),
    "thread_pool_name": (5, STRING),
    "allowed_batch_sizes": (6, INT64S),
    "pad_variable_length_inputs": (7, BOOL),
}
MONITORING = {"enable": (1, BOOL), "path": (2, "string")}


def message_class(name, fields):
    """A protobuf message of these fields."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", syntax="proto3", package="kit")
    file.dependency.append("google/protobuf/wrappers.proto")
    message = file.message_type.add(name=name)
    for field, (number, kind) in fields.items():
        added = message.field.add(name=field, number=number, label=kinds.LABEL_OPTIONAL)
        if kind in (INT64, STRING):
            added.type = kinds.TYPE_MESSAGE
            wrapper = {INT64: "Int64Value", STRING: "StringValue"}[kind]
            added.type_name = f".google.protobuf.{wrapper}"
        elif kind == INT64S:
            added.type, added.label = kinds.TYPE_INT64, kinds.LABEL_REPEATED
        else:
            added.type = {BOOL: kinds.TYPE_BOOL, "string": kinds.TYPE_STRING}[kind]
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName("google/protobuf/wrappers.proto").CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"kit.{name}"))


def test_models_config():
    text = (KIT / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("darac", "/models/darac")
    assert model.model_platform == "tensorflow"
    assert model.model_version_policy.latest.num_versions == 1


def test_the_other_policy_of_models_config():
    text = (KIT / "models.config").read_text()
    commented = "\n".join(re.findall(r"^#   (.*)$", text, re.MULTILINE))
    config = text_format.Parse(commented, model_server_config_pb2.ModelConfig())
    assert list(config.model_version_policy.specific.versions) == [3, 4]
    assert dict(config.version_labels) == {"stable": 3, "canary": 4}


def test_batching_config():
    Batching = message_class("Batching", BATCHING)
    config = text_format.Parse((KIT / "batching.config").read_text(), Batching())
    assert config.max_batch_size.value > 0 and config.num_batch_threads.value > 0
    assert not config.pad_variable_length_inputs
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch_size: 32", Batching())


def test_monitoring_config():
    Prometheus = message_class("Prometheus", MONITORING)
    text = (KIT / "monitoring.config").read_text()
    inner = re.fullmatch(r"(?:#[^\n]*\n)*prometheus_config \{(.*)\}\n", text, re.DOTALL)
    config = text_format.Parse(inner[1], Prometheus())
    assert config.enable and config.path == "/monitoring/prometheus/metrics"


def test_published_ports_are_of_this_machine_only():
    pages = [KIT / "compose.yaml", KIT / "README.md", REPOSITORY / "docs" / "serving.md"]
    published = [
        port
        for page in pages
        for pattern in (r'^\s+- "([\d.:]+)"$', r"(?:-p|--publish)[ =](\S+)")
        for port in re.findall(pattern, page.read_text(), re.MULTILINE)
    ]
    assert len(published) >= 4
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in published), published


def test_the_load_benchmark_has_the_environment_of_the_kit():
    (block,) = re.findall(
        r"environment:\n((?: +(?:#|- ).*\n)+)", (KIT / "compose.yaml").read_text()
    )
    pairs = re.findall(r"- (\w+)=(\w+)", block)
    assert dict(pairs) == ENVIRONMENT
    for name, value in pairs:
        assert f"--env={name}={value} " in (KIT / "README.md").read_text()


def test_the_health_check_of_the_compose_file(small_model):
    text = (KIT / "compose.yaml").read_text()
    script = re.search(r"- >-\n((?: {10}.*\n)+)", text)[1]
    with serving(small_model) as server:
        port = server.rest.split(":")[1]
        for name, status in (("darac", 0), ("other", 1)):
            command = " ".join(script.split()).replace("8501", port).replace("/darac", f"/{name}")
            done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=20)
            assert done.returncode == status, done.stderr
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=20)
    assert done.returncode != 0
