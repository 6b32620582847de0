"""`darac export`, from the checkout."""

import sys

from darac_tf.commands.main import main

sys.exit(main(["export", *sys.argv[1:]]))
