"""Hands a run on to others: a folder, or a model on the Hugging Face hub.

    darac publish runs/photos --to=published/photos --licence=apache-2.0
    darac publish runs/photos --to=hf://USER/NAME --licence=apache-2.0 \
        --resolutions=299,540,1020 --whitening=runs/photos/eval/04-photos.npz \
        --report=runs/photos/eval/report.json

writes the model, its whitening, a SavedModel, the run's settings, scores and a model card. All
commands take it as a run, --descriptors=hf://USER/NAME, --model=hf://USER/NAME. To upload needs a
token of the hub: `hf auth login`, or HF_TOKEN.
"""

import tempfile
from pathlib import Path

from absl import flags

from darac_tf import cli
from darac_tf.choices import COMBINATIONS
from darac_tf.errors import UserError
from darac_tf.hugging_face import HF, repository_of


def main(arguments):
    values = flags.FlagValues()
    flags.DEFINE_string("to", None, "Folder, or hf://USER/NAME.", values, required=True)
    text = "Licence of the weights, as the hub calls it: apache-2.0, cc-by-4.0."
    flags.DEFINE_string("licence", None, text, values, required=True)
    text = "Long sides or factors; default: those of a converted run, or 299."
    flags.DEFINE_string("resolutions", None, text, values)
    flags.DEFINE_enum("combination", None, COMBINATIONS, "How they are combined.", values)
    flags.DEFINE_float("exponent", None, "Of the generalised mean.", 1, None, values)
    text = "A .npz of eval.py, fitted at the same resolutions, or a run with its own."
    flags.DEFINE_string("whitening", None, text, values)
    flags.DEFINE_string("report", None, "report.json of eval.py with scores of the run.", values)
    text = "Training sets, as the hub calls them; default: that of the run."
    flags.DEFINE_list("datasets", [], text, values)
    flags.DEFINE_bool("private", False, "Make a new repository of the hub private.", values)
    runs = cli.parse_command(arguments, values, __doc__, "run")
    if len(runs) > 1:
        raise UserError(f"name one run; the second is {runs[1]!r}")
    run = Path(runs[0])
    if not run.is_dir():
        raise UserError(f"{run}: is no run directory")
    is_uploaded = values.to.startswith(HF)
    if is_uploaded:
        repository_of(values.to)
    cli.start_tensorflow()
    from darac_tf.export.handing_on import hand_on, settings_of_folder
    from darac_tf.hugging_face import upload

    how = (values.resolutions, values.combination, values.exponent, values.whitening)
    settings, whitening = settings_of_folder(run, *how)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / run.absolute().name if is_uploaded else Path(values.to)
        hand_on(run, folder, settings, values.licence, whitening, values.report, values.datasets)
        place = upload(folder, values.to, values.private) if is_uploaded else folder
    print(f"{place}: the model, {len(settings.resolutions)} sizes, its export and a model card")
