"""One run on several devices or machines, on TensorFlow's own `tf.distribute`."""

import contextlib
import json
import os

import tensorflow as tf

from darac_tf.errors import UserError

_CPU_REPLICAS = 2
_LEFT = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


class Replicas:
    """The replicas that share each batch.

    Attributes:
        strategy: `tf.distribute.Strategy`.
        count: int, replicas in all.
        is_chief: bool, whether this process writes the run's files; with several processes, one
            does.
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync
        resolver = strategy.cluster_resolver
        cluster = resolver.cluster_spec().as_dict() if resolver else {}
        self._workers = sum(len(cluster.get(job, [])) for job in ("chief", "worker"))
        # Without a cluster there is no task.
        task = (resolver.task_type, resolver.task_id) if resolver else (None, 0)
        chief = ("chief" if "chief" in cluster else "worker", 0)
        self.is_chief = not task[0] or task == chief

    def check_batch(self, config):
        """Raises `UserError` if a batch can't be shared out."""
        if config.batch_size % self.count:
            raise UserError(
                f"{self.count} replicas can't share batches of {config.batch_size} images evenly: "
                "change --classes_per_batch or --images_per_class"
            )
        share = config.batch_size // self.count
        if config.chunk_size is not None and share % config.chunk_size:
            raise UserError(
                f"--chunk_size={config.chunk_size}: must divide the {share} images of a replica"
            )

    def first_share(self, images):
        """The images of a step that the first replica of this process has."""
        return self.strategy.experimental_local_results(images)[0]

    def from_chief(self, value):
        """The chief's number, on every worker; all of them must call it."""
        if self._workers < 2:
            return value
        mine = tf.constant(value if self.is_chief else 0.0, tf.float64)
        # Every replica of the chief adds it once.
        added = self.strategy.reduce("SUM", self.strategy.run(lambda: tf.identity(mine)), axis=None)
        return float(added) / (self.count / self._workers)

    @contextlib.contextmanager
    def reporting_loss_of_a_worker(self):
        """Turns the errors of a step whose other workers are gone into a `UserError`."""
        try:
            yield
        except _LEFT as error:
            if self._workers < 2:
                raise
            raise UserError(
                "another worker left or can't be reached; start all of them again with --resume, "
                "and they go on from the last checkpoint"
            ) from error


def make_replicas(strategy="one", replicas=None):
    """Sets up the devices of a run; before TensorFlow computes anything.

    `"one"` device; `"mirrored"`: all GPUs of this machine, or where it has none, parts of its CPU,
    of either as many as `replicas` (parts: 2 by default); `"multiworker"`: all machines in the
    environment variable TF_CONFIG. `UserError` if there are too few devices, TF_CONFIG is missing
    or wrong, or TensorFlow has begun.
    """
    if strategy == "mirrored":
        return Replicas(tf.distribute.MirroredStrategy(_local_devices(replicas)))
    if strategy == "multiworker":
        _check_tf_config()
        try:
            return Replicas(tf.distribute.MultiWorkerMirroredStrategy())
        except (RuntimeError, ValueError, *_LEFT) as error:
            raise UserError(f"--strategy=multiworker: {str(error).splitlines()[0]}") from error
    return Replicas(tf.distribute.get_strategy())


def _local_devices(count):
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        count = count or len(gpus)
        if count > len(gpus):
            raise UserError(f"--replicas={count}: this machine has {len(gpus)} GPUs")
        return [f"GPU:{number}" for number in range(count)]
    count = count or _CPU_REPLICAS
    parts = [tf.config.LogicalDeviceConfiguration()] * count
    try:
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError as error:
        raise UserError(
            "--strategy=mirrored: TensorFlow has begun on one CPU device; set up the replicas first"
        ) from error
    return [f"CPU:{number}" for number in range(count)]


def _check_tf_config():
    example = (
        '\'{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
        '"task": {"type": "worker", "index": 0}}\''
    )
    advice = f"--strategy=multiworker: set TF_CONFIG on each machine, such as {example}"
    try:
        settings = json.loads(os.environ["TF_CONFIG"])
        workers = settings["cluster"]["worker"]
        task = settings["task"]["type"], settings["task"]["index"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise UserError(advice) from error
    if not isinstance(workers, list) or task[0] not in ("chief", "worker"):
        raise UserError(advice)
