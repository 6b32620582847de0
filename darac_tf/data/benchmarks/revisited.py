"""ROxford5k and RParis6k: the revisited ground truth with easy, hard and junk images."""

from darac_tf.data.benchmarks.ground_truth import parse_ground_truth
from darac_tf.data.benchmarks.oxford import image_files, notes, query_images, standard_file
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.retrieval_set import RELEVANCE, RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError


def load_revisited(kind, data_dir, crop_queries=True):
    """Reads ROxford5k or RParis6k (Radenovic et al., CVPR 2018).

    The query images are not in the database. A query may have no easy or no hard image.

    Args:
        kind: `"roxford5k"` or `"rparis6k"`.
        data_dir: Folder with `gnd_<kind>.pkl` or `gnd_<kind>.mat` and the images (there, in `jpg`,
            or in `images`; for Paris also a folder per landmark in one of them).
        crop_queries: Look at the box of each query only, as published.

    Returns:
        `RetrievalSet` of the protocol "revisited".

    Raises:
        UserError: If there is no ground truth, it is damaged, an image of it is missing, or a box
            doesn't lie in its image.
    """
    files = image_files(kind, data_dir)
    truth = read_revisited(kind, files)
    published = PUBLISHED[kind]
    return RetrievalSet(
        name=published.title,
        protocol=published.protocol,
        database=ImageList(files.find(truth.names, truth.source)),
        queries=query_images(files, truth, crop_queries),
        own_rows=None,
        relevance=truth.lists,
        notes=notes(truth, crop_queries),
    )


def read_revisited(kind, files):
    """The `GroundTruth` in the data folder, with the lists easy, hard and junk.

    Raises:
        UserError: If there is none, or it is damaged.
    """
    raw, source = standard_file(kind, files.data_dir)
    truth = parse_ground_truth(raw, source, RELEVANCE["revisited"])
    for query, row in zip(truth.query_names, truth.query_rows, strict=True):
        if row >= 0:
            raise UserError(
                f"{source}: the query image {query} is image {row} of the database, which "
                f"{PUBLISHED[kind].title} keeps it out of; fetch the ground truth again"
            )
    return truth
