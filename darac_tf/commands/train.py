"""Trains a descriptor on labelled images.

    darac train --dataset=folder --data_dir=photos --val_classes=10 --run_dir=runs/photos

--config=NAME takes the settings of a whole run (darac_tf/training/configs, darac_tf/systems/runs),
--system=NAME those of a paper's system (darac_tf/systems), which win over a config's; flags that
are given win over both. --dry_run only says what it takes.
A run directory holds the settings, checkpoints, TensorBoard events, and the best and last model.
An interrupted run goes on with --resume and the same flags.
"""

from absl import flags

from darac_tf import cli
from darac_tf.systems import system_names
from darac_tf.training.config import TrainConfig
from darac_tf.training.configs import load_presets


def main(arguments):
    values = flags.FlagValues()
    _define(values)
    cli.parse_command(arguments, values, __doc__)
    settings, replaced = load_presets(values.config, values.system)
    free = cli.apply_preset(settings, values)
    won = [f"{n}={settings[n]} (not {v})" for n, v in replaced.items() if n in free]
    if won:
        print(f"--system={values.system} wins over --config={values.config}: {', '.join(won)}")
    config = cli.settings_of_flags(TrainConfig, values)
    _run(config, values)


def _define(values):
    flags.DEFINE_string("run_dir", None, "Where the run is written.", values, required=True)
    flags.DEFINE_enum(
        "system", None, system_names(), "Preset: settings of a paper's system.", values
    )
    flags.DEFINE_string(
        "config",
        None,
        "small, demo, darac-GL and others, a .toml file, or a run's config.json.",
        values,
    )
    flags.DEFINE_bool(
        "dry_run", False, "Make a few steps, print sizes, memory and time; write nothing.", values
    )
    flags.DEFINE_bool("resume", False, "Go on from the last checkpoint in --run_dir.", values)
    cli.define_flags(TrainConfig, values)


def _run(config, values):
    cli.start_tensorflow()
    if values.dry_run:
        from darac_tf.training.dry_run import dry_run

        print(dry_run(config, values.run_dir))
        return
    if config.matching == "local":
        from darac_tf.training.local_features import train_local_features as train
    else:
        from darac_tf.training.run import train
    result = train(config, values.run_dir, values.resume)
    best = "" if result.best is None else f", best validation mAP (plain) {100 * result.best:.2f}"
    print(f"{values.run_dir}: {result.steps} steps{best}")
