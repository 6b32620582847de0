"""`darac train`, from the checkout."""

import sys

from darac_tf.commands.main import main

sys.exit(main(["train", *sys.argv[1:]]))
