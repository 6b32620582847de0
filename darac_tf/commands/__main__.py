import sys

from darac_tf.commands.main import main

sys.exit(main(sys.argv[1:]))
