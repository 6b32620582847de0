"""What each loss is tuned over, as data: six options of each, at the same learning rates."""

import itertools

from darac_tf.losses import make_loss

RATES = (3e-5, 1e-4, 3e-4, 1e-3)


def _grid(**values):
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


# What the table of losses compares with: chosen before the sweep, as many as each loss has.
NRA_COMPARED = _grid(
    rank=("soft", "gaussian", "minmax"),
    transfer=("logistic", "power"),
    statistics_gradient=(True,),
)
NRA_DEFAULT = NRA_COMPARED[0]
# All combinations, for the questions about NRA itself.
NRA_ALL = _grid(
    rank=("soft", "gaussian", "minmax"),
    transfer=("logistic", "power", "exponential"),
    statistics_gradient=(True, False),
)

# Arguments of `losses.make_loss`; `class_rate` is the rate of class weights by that of the head.
# Of the five after NRA a first sweep chose at an end of most grids, which were moved that way.
OPTIONS = {
    "nra": NRA_ALL,
    "triplet": _grid(squared=(False, True), margin=(0.2, 0.4, 0.8)),
    "softmax": _grid(scale=(16.0, 32.0, 64.0), class_rate=(10.0, 30.0)),
    "contrastive": _grid(margin=(0.6, 0.8, 1.0, 1.2, 1.4, 1.6)),
    "multi_similarity": _grid(threshold=(0.0, 0.2, 0.5), beta=(50.0, 100.0)),
    "smooth_ap": _grid(temperature=(0.001, 0.003, 0.01, 0.02, 0.05, 0.1)),
    "triplet_semi_hard": _grid(squared=(False, True), margin=(0.1, 0.2, 0.4)),
    "arcface": _grid(margin=(0.1, 0.3, 0.5), scale=(16.0, 64.0)),
    "cosface": _grid(margin=(0.1, 0.2, 0.35), scale=(16.0, 64.0)),
}


def compared(loss):
    """The six options of a loss that it is tuned over where losses are compared."""
    return NRA_COMPARED if loss == "nra" else OPTIONS[loss]


def maker(loss, option, classes, dim):
    """A function of a seed to the loss, and the rate of its class weights by that of the head."""
    arguments = {"class_rate": 10.0} | option
    class_rate = arguments.pop("class_rate")
    return lambda seed: make_loss(loss, classes, dim, seed=seed, **arguments), class_rate


def option_name(option):
    """Text for tables and file names."""
    words = []
    for name, value in option.items():
        if name == "statistics_gradient":
            words.append("with gradient" if value else "without gradient")
        elif name == "squared":
            words.append("squared" if value else "not squared")
        else:
            words.append(value if isinstance(value, str) else f"{name} {value:g}")
    return ", ".join(words)
