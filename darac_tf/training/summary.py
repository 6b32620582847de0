"""What a finished run says of itself, for people."""

import math
import shlex

from darac_tf.files import atomic_path
from darac_tf.reports import markdown
from darac_tf.reports.environment import environment


def write_summary(run_dir, config, model, result):
    """Writes `summary.md`: what was trained, how it went (`RunResult`), and what to do with it."""
    versions = environment()
    names = ("python", "tensorflow", "keras", "numpy")
    facts = [
        ("steps", f"{result.steps} of {config.steps}"),
        ("images a step", str(config.batch_size)),
        ("loss, last steps", _last_loss(result)),
        ("best validation mAP (plain)", _best(result)),
        ("backbone", config.backbone),
        ("pooling, loss", f"{config.pooling}, {config.loss}"),
        ("dimension", str(model.output_shape[-1])),
        ("trained weights", f"{trained_weights(model):,} of {model.count_params():,}"),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in names)),
    ]
    name, at = run_dir.resolve().name, shlex.quote(str(run_dir))
    text = f"""# {name}

{markdown.table(["", ""], facts, [False, False])}

Measure, export, and look at the curves:

    python eval.py --descriptors={at} --dataset=folder --data_dir=PHOTOS
    python export_savedmodel.py --model={at} --out={shlex.quote(f"export/{name}")}
    tensorboard --logdir={at}/tensorboard
"""
    with atomic_path(run_dir / "summary.md") as path:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")


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
