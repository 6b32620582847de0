"""`darac prepare`, from the checkout."""

import sys

from darac_tf.commands.main import main

sys.exit(main(["prepare", *sys.argv[1:]]))
