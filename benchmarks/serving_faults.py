"""Runs damaged images through an exported model in a process that may die, and counts what happens.

    python -m benchmarks.serving_faults --model=export/photos

Prints a Markdown table. Each image goes alone through `robust` and through `serving_default`, and
must give a vector, `valid` false, or INVALID_ARGUMENT; both signatures must say the same of it. The
exit status is 1 if anything else happens.
"""

import collections
import multiprocessing
import sys

import numpy as np
from absl import flags

from benchmarks.measuring import peak_mib
from darac_tf import cli
from tests.serving.mutations import mutations

_FLAGS = flags.FLAGS
DIED, SILENT = "process died", "no answer"
GOOD = ("vector, vector", "valid=false, INVALID_ARGUMENT")


def answer_images(connection, base):
    """Of the child: answers images until it is sent None, then with its peak memory."""
    # Imported here: the process that starts the children needs no TensorFlow.
    from tests.serving.stand_in.model import load_versions

    (model,) = load_versions(base, threads=1).values()
    while (data := connection.recv()) is not None:
        connection.send(what_happens(model, data))
    connection.send(peak_mib())


def what_happens(model, data):
    """What both signatures make of an image, as `"robust's, serving_default's"`."""
    import tensorflow as tf

    inputs = {"image_bytes": np.array([data], object)}
    found = []
    vectors = []
    for signature in ("robust", "serving_default"):
        try:
            outputs = model.run(signature, inputs)
        except tf.errors.OpError as error:
            codes = {3: "INVALID_ARGUMENT"}
            found.append(codes.get(error.error_code, type(error).__name__))
            continue
        (vector,) = outputs["descriptor"]
        if not outputs.get("valid", np.array([True]))[0]:
            found.append("valid=false" if not vector.any() else "valid=false and a vector")
            continue
        vectors.append(vector)
        is_unit = abs(float(np.linalg.norm(vector.astype(np.float64))) - 1) < 1e-3
        found.append("vector" if is_unit else "no unit vector")
    if len(vectors) == 2 and not np.allclose(*vectors, atol=1e-6):
        return "two different vectors"
    return ", ".join(found)


class Child:
    """A process that answers images; a new one takes the place of one that died."""

    def __init__(self, base, seconds, target=answer_images):
        self._base, self._seconds, self._target = base, seconds, target
        # This process has started no threads of TensorFlow's, which a fork would lack.
        self._context = multiprocessing.get_context("fork")
        self._process = None

    def ask(self, message):
        """The child's answer, or `DIED` or `SILENT`."""
        if self._process is None:
            self._start()
        try:
            self._connection.send(message)
            if self._connection.poll(self._seconds):
                return self._connection.recv()
            outcome = SILENT
        except (EOFError, OSError):
            outcome = DIED
        self.stop()
        return outcome

    def stop(self):
        """Ends the process, if there is one."""
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None

    def _start(self):
        self._connection, theirs = self._context.Pipe()
        arguments = (theirs, str(self._base))
        self._process = self._context.Process(target=self._target, args=arguments, daemon=True)
        self._process.start()
        theirs.close()


def count_outcomes(base, damaged, seconds=120.0):
    """Counts what happens.

    Args:
        base: Folder of versions, of which the newest is taken.
        damaged: Iterable of `(kind, bytes)`.
        seconds: That an answer may take; the first includes loading the model.

    Returns:
        `(dictionary of kind to Counter of outcomes, the child's peak memory in MiB)`.
    """
    counts = collections.defaultdict(collections.Counter)
    child = Child(base, seconds)
    try:
        for kind, data in damaged:
            counts[kind][child.ask(data)] += 1
        return dict(counts), child.ask(None)
    finally:
        child.stop()


def markdown(counts):
    """The table: a row a kind, a column an outcome."""
    seen = set().union(*counts.values())
    outcomes = [*GOOD, *sorted(seen - {*GOOD, DIED, SILENT}), SILENT, DIED]
    lines = [f"| damage | images | {' | '.join(outcomes)} |"]
    lines.append("| --- |" + " ---: |" * (len(outcomes) + 1))
    total = sum(counts.values(), collections.Counter())
    for kind, found in [*counts.items(), ("all", total)]:
        cells = [str(found[outcome]) for outcome in outcomes]
        lines.append(f"| {kind} | {found.total()} | {' | '.join(cells)} |")
    return "\n".join(lines)


def is_fine(counts):
    """Whether nothing but the outcomes of `GOOD` was seen."""
    return all(set(found) <= set(GOOD) for found in counts.values())


def _define_flags():
    flags.DEFINE_string("model", None, "Folder of versions, as exported.", required=True)
    flags.DEFINE_integer("images", 2000, "Damaged images.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the damage.")


def main():
    counts, peak = count_outcomes(_FLAGS.model, mutations(_FLAGS.images, _FLAGS.seed))
    print(markdown(counts))
    peak = f"{peak:.0f} MiB" if isinstance(peak, float) else peak
    print(f"\nColumns: what `robust` and `serving_default` gave. Peak memory: {peak}.")
    sys.exit(0 if is_fine(counts) else 1)


if __name__ == "__main__":
    _define_flags()
    cli.run(main)
