"""Shows in about three minutes what DARAC does: opens with OUT/index.html.

    darac demo
    darac demo --photos=FOLDER --out=runs/photos-demo

Without photographs it draws landmarks, trains the last layers of a pretrained network and DARAC's
weights, measures before and after on landmarks never trained on, whitens, exports, indexes and
searches. With --photos it measures which pooling finds your own photographs again (darac selftest),
indexes them with that, and searches. Nothing is downloaded, and no labels are needed.
"""

import sys
import time
import webbrowser

from absl import flags

from darac_tf import cli
from darac_tf.demo.config import DemoConfig
from darac_tf.errors import UserError


def main(arguments):
    started = time.monotonic()
    values = flags.FlagValues()
    cli.define_flags(DemoConfig, values)
    flags.DEFINE_string("photos", None, "Folder of your own photographs, to use instead.", values)
    cli.parse_command(arguments, values, __doc__)
    config = cli.settings_of_flags(DemoConfig, values)
    for name in vars(config):
        if values.photos and values[name].present and name not in ("out", "seed"):
            raise UserError(f"--{name} is for drawn landmarks, not for --photos")

    def say(what):
        print(f"{time.monotonic() - started:4.0f} s  {what}", flush=True)

    say("starting TensorFlow")
    cli.start_tensorflow()
    if values.photos:
        from darac_tf.demo.photographs import show_photographs

        page = show_photographs(values.photos, config.out, config.seed, say)
    else:
        from darac_tf.demo.landmarks import run
        from darac_tf.demo.landmarks_page import write_landmarks_page

        shown = run(config, say)
        page = write_landmarks_page(config, shown, time.monotonic() - started)
    say(f"done: {page}")
    if sys.stdout.isatty():
        webbrowser.open(page.absolute().as_uri())
