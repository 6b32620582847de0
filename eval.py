"""`darac eval`, from the checkout."""

import sys

from darac_tf.commands.main import main

sys.exit(main(["eval", *sys.argv[1:]]))
