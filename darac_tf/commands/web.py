"""Opens a page in the browser to search an index of your own images with pictures.

    darac web --index=FOLDER

The page is for this machine alone; with --host, for whoever knows its address, token included.
"""

from absl import flags

from darac_tf import cli
from darac_tf.index_flags import index_values, model_of


def main(arguments):
    from darac_tf.web.settings import WebSettings

    values = index_values()
    flags.DEFINE_string("model", None, "The index's model, where it has moved.", values)
    flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 for all.", values)
    flags.DEFINE_integer("port", 0, "Port to listen on; 0 for any that is free.", 0, 65535, values)
    flags.DEFINE_bool("open", True, "Open the page in the browser.", values)
    cli.define_flags(WebSettings, values)
    cli.parse_command(arguments, values, __doc__)
    settings = cli.settings_of_flags(WebSettings, values)
    _serve(values, settings)


def _serve(values, settings):
    cli.start_tensorflow()

    from darac_tf.web.collection import Collection
    from darac_tf.web.server import serve

    collection = Collection(values.index, model_of(values), settings.max_megapixels * 10**6)
    print(f"{len(collection.snapshot.live)} images of {values.index}; Ctrl-C ends it", flush=True)
    serve(collection, settings, values.host, values.port, values.open, _say)


def _say(address):
    print(address, flush=True)
