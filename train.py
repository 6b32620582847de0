"""Trains a descriptor on labelled images.

    python train.py --dataset=folder --data_dir=photos --val_classes=10 --run_dir=runs/photos

--config=NAME takes the settings of a whole run (darac_tf/training/configs, darac_tf/systems/runs),
--system=NAME those of a paper's system (darac_tf/systems), which win over a config's; flags that
are given win over both. --dry_run only says what it takes.
A run directory holds the settings, checkpoints, TensorBoard events, and the best and last model.
An interrupted run goes on with --resume and the same flags.
"""

from absl import flags

from darac_tf import cli
from darac_tf.systems import system_names
from darac_tf.training import TrainConfig, train
from darac_tf.training.configs import load_presets
from darac_tf.training.dry_run import dry_run
from darac_tf.training.local_features import train_local_features

FLAGS = flags.FLAGS

flags.DEFINE_string("run_dir", None, "Where the run is written.", required=True)
flags.DEFINE_enum("system", None, system_names(), "Preset: settings of a paper's system.")
flags.DEFINE_string(
    "config", None, "small, demo, darac-GL and others, a .toml file, or a run's config.json."
)
flags.DEFINE_bool(
    "dry_run", False, "Make a few steps, print sizes, memory and time; write nothing."
)
flags.DEFINE_bool("resume", False, "Go on from the last checkpoint in --run_dir.")
cli.define_flags(TrainConfig)


def main():
    settings, replaced = load_presets(FLAGS.config, FLAGS.system)
    free = cli.apply_preset(settings)
    won = [f"{n}={settings[n]} (not {v})" for n, v in replaced.items() if n in free]
    if won:
        print(f"--system={FLAGS.system} wins over --config={FLAGS.config}: {', '.join(won)}")
    config = cli.settings_of_flags(TrainConfig)
    if FLAGS.dry_run:
        print(dry_run(config, FLAGS.run_dir))
        return
    run = train_local_features if config.matching == "local" else train
    result = run(config, FLAGS.run_dir, FLAGS.resume)
    best = "" if result.best is None else f", best validation mAP (plain) {100 * result.best:.2f}"
    print(f"{FLAGS.run_dir}: {result.steps} steps{best}")


if __name__ == "__main__":
    cli.run(main)
