"""Cutting a run off, or meddling with it, at a given step."""

from darac_tf.training import run as run_module


def during(monkeypatch, at, action):
    """Calls `action` before step `at` of a run."""
    real = run_module.make_train_step

    def make(*args):
        step, calls = real(*args), []

        def train_step(images, labels):
            calls.append(1)
            if len(calls) == at:
                return action(step, images, labels)
            return step(images, labels)

        train_step.experimental_get_tracing_count = step.experimental_get_tracing_count
        return train_step

    monkeypatch.setattr(run_module, "make_train_step", make)


def interrupt(step, images, labels):
    raise KeyboardInterrupt
