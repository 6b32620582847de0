"""Parts described by actors of Ray, on as many machines as there are.

A part is the unit of work: an actor, which has loaded the model once, fetches its images and writes
its file, and the driver learns three numbers. Nothing else goes through Ray, so that neither a lost
machine nor the driver's end costs more than the parts that were being described. Ray Data is for
streams of blocks, which it would have to make again from what was lost with them.
"""

import contextlib
import logging
import math
import os
import re
import socket
from collections import Counter, deque

from darac_tf.errors import UserError
from darac_tf.parts.describer import PartDescriber
from darac_tf.parts.part_files import fault_of_part
from darac_tf.parts.run import missing_parts, outcome, progress_bar

_LOG = logging.getLogger(__name__)
# A machine that goes takes one worker from a part; a part that takes as many is the reason itself.
_MOST_DEATHS = 5
_WAIT_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


class Worker:
    """What an actor is: a `PartDescriber`, made by its first call."""

    def __init__(self, load_model, arguments, cpus):
        self._load_model, self._arguments = load_model, arguments
        self._cpus = max(1, math.floor(cpus))

    def start(self):
        """Loads the model: not when the actor is made, whose errors are those of a lost one."""
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(self._cpus)
        tf.config.threading.set_inter_op_parallelism_threads(self._cpus)
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)  # Others may share it.
        self._describe = PartDescriber(self._load_model(), *self._arguments)
        # The export or manifest may be another one on this machine.
        self._describe.layout.begin(self._arguments[1])

    def describe(self, part):
        """Describes a part, as `PartDescriber` does."""
        return self._describe(part)


def run_on_ray(load_model, layout, manifest, folder, share, settings, ray_settings, show=True):
    """Describes what is missing of a share on actors; an `Outcome`.

    A lost actor's part goes to another one, and a new actor starts where there is room, also on a
    machine that joins later.

    Args:
        load_model: Function without arguments that makes the model, in each actor; from a package
            that the machines have.
        layout: `Layout` of the parts, which `run.begin` has prepared.
        manifest, folder: Absolute paths, the same on all machines.
        share: As of `run.share_of`.
        settings, ray_settings: `PartSettings` and `RaySettings`.
        show: Whether to show a progress bar.

    Raises:
        UserError: If Ray is not installed or not there, has too little for one actor, a part fails
            as of `PartDescriber`, or the workers on it end again and again.
    """
    missing = missing_parts(folder, layout, share)
    if not missing:
        return outcome(share, missing, [])
    with _connected(ray_settings.address) as ray:
        needed = {"CPU": ray_settings.worker_cpus, "GPU": ray_settings.worker_gpus}
        workers = ray_settings.workers or _room(ray.cluster_resources(), needed)
        actor = ray.remote(num_cpus=needed["CPU"], num_gpus=needed["GPU"])(Worker)
        arguments = load_model, (str(manifest), str(folder), settings), needed["CPU"]
        pool = _Pool(ray, lambda: actor.remote(*arguments), min(workers, len(missing)))
        done = []
        with progress_bar(layout, share, missing, show) as count:
            still = (part for part in missing if fault_of_part(folder, layout, part) is not None)
            for described in pool.results(still):
                done.append(described)
                count(described.images, described.dead)
        return outcome(share, missing, done)


class _Pool:
    """Actors, each with one part at a time."""

    def __init__(self, ray, make, size):
        self._ray, self._make = ray, make
        # What has no result yet: those that load the model, and `(actor, part)` of the others.
        self._starting, self._running = {}, {}
        self._lost, self._deaths = deque(), Counter()
        for _ in range(size):
            self._start()

    def results(self, parts):
        """Yields what becomes of each of some parts, in the order in which they end."""
        parts, is_left = iter(parts), True
        while is_left or self._lost or self._running:
            done, _ = self._ray.wait([*self._starting, *self._running], timeout=_WAIT_SECONDS)
            if not done and not self._running:
                _LOG.warning(
                    "no worker is ready: they load the model, or Ray has no room for them yet"
                )
            for ref in done:
                actor, part = self._running.pop(ref, None) or (self._starting.pop(ref), None)
                try:
                    result = self._ray.get(ref)
                except self._ray.exceptions.RayTaskError as error:
                    raise _cause_of(error) from error
                except self._ray.exceptions.RayError as error:
                    self._replace(part, error)
                    continue
                if part is not None:
                    yield result
                part = self._lost.popleft() if self._lost else next(parts, None)
                if part is not None:
                    self._running[actor.describe.remote(part)] = actor, part
                is_left = is_left and part is not None

    def _start(self):
        actor = self._make()
        self._starting[actor.start.remote()] = actor

    def _replace(self, part, error):
        """Starts an actor in place of one that is lost, and lets its part be described again."""
        self._deaths[part] += 1
        if self._deaths[part] >= _MOST_DEATHS:
            what = "loads the model" if part is None else f"describes part {part}"
            reason = str(error).strip().splitlines()[0]
            raise UserError(f"{_MOST_DEATHS} workers have ended while one {what}: {reason}")
        if part is not None:
            self._lost.append(part)
        self._start()


@contextlib.contextmanager
def _connected(address):
    """Gives the module `ray`, connected; what it had started ends with the block."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError("--engine=ray needs Ray: pip install 'darac-tf[ray]'") from error
    how = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address is None:
        how |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        if found := re.fullmatch(r"([^/]+):(\d+)", address or ""):
            # Ray would try for minutes.
            socket.create_connection((found[1], int(found[2])), _CONNECT_SECONDS).close()
        ray.init(address=address or "local", **how)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[0]
        raise UserError(f"--address={address}: no Ray there: {reason}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _room(there, needed):
    """How many actors there is room for; `UserError` if none."""
    room = min(int(there.get(kind, 0) / amount) for kind, amount in needed.items() if amount)
    if not room:
        found = ", ".join(f"{there.get(kind, 0):g} {kind}" for kind in needed)
        wanted = f"--worker_cpus={needed['CPU']:g} --worker_gpus={needed['GPU']:g}"
        raise UserError(f"{wanted}: Ray has {found} in all")
    return room


def _cause_of(error):
    """What a worker has raised, without the lines of Ray around it."""
    return UserError(str(error.cause)) if isinstance(error.cause, UserError) else error
