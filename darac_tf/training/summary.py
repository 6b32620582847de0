"""What a finished run says of itself, for people."""

import math

from darac_tf.files import atomic_path
from darac_tf.reports import markdown
from darac_tf.reports.environment import environment

SUMMARY_FILE = "summary.md"


def write_summary(run_dir, config, model, result):
    """Writes `summary.md`: what was trained, how it went, and what to do with it.

    Args:
        run_dir: Run directory.
        config: `TrainConfig`.
        model: The descriptor.
        result: `RunResult`.
    """
    trained = trained_weights(model)
    facts = [
        ("steps", f"{result.steps} of {config.steps}"),
        ("images a step", str(config.batch_size)),
        ("loss, last steps", _last_loss(result)),
        ("best validation mAP (plain)", _best(result)),
        ("backbone", config.backbone),
        ("pooling, loss", f"{config.pooling}, {config.loss}"),
        ("dimension", str(model.output_shape[-1])),
        ("trained weights", f"{trained:,} of {model.count_params():,}"),
        ("versions", ", ".join(f"{name} {text}" for name, text in _versions().items())),
    ]
    text = "\n".join(
        [
            f"# {run_dir.name}",
            "",
            markdown.table(["", ""], facts, [False, False]),
            "",
            "Measure, export, and look at the curves:",
            "",
            f"    python eval.py --descriptors={run_dir} --dataset=folder --data_dir=PHOTOS",
            f"    python export_savedmodel.py --model={run_dir} --out=export/{run_dir.name}",
            f"    tensorboard --logdir={run_dir / 'tensorboard'}",
            "",
        ]
    )
    with atomic_path(run_dir / SUMMARY_FILE) as path:
        path.write_text(text, encoding="utf-8")


def trained_weights(model):
    """How many numbers of a model are trained."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def _last_loss(result):
    if not len(result.losses):
        return "no step was left to make"
    last = result.losses[-20:]
    return f"{last.mean():.4f} (mean of {len(last)})"


def _best(result):
    if result.best is None:
        return "no validation"
    return f"{100 * result.best:.2f} after step {result.best_step}"


def _versions():
    found = environment()
    return {name: found[name] for name in ("python", "tensorflow", "keras", "numpy")}
