"""A new version of a model, complete and checked before anyone sees it."""

from typing import NamedTuple

from darac_tf.export.model_card import CardFacts, write_model_card
from darac_tf.export.saved_model import write_saved_model
from darac_tf.export.verification import THRESHOLDS, Verification, verify_export
from darac_tf.export.versions import version_folder
from darac_tf.export.warmup import write_warmup
from darac_tf.files import atomic_path


class Published(NamedTuple):
    """What was written.

    Attributes:
        folder: `pathlib.Path` of the version.
        dimension: Length of the descriptors.
        verification: `Verification`, or None without.
    """

    folder: object
    dimension: int
    verification: Verification | None


def publish(model, out, settings, facts=None, version=None, verify_paths=(), threshold=None):
    """Writes `OUT/<version>/`: the SavedModel, its warm-up requests and its model card.

    The folder appears when all is written and verified, so that a server which watches `out` never
    sees a part of it.

    Args:
        model: Descriptor.
        out: Folder of the versions.
        settings: `ExportSettings`.
        facts: `CardFacts`; None takes the name of `out` and no more.
        version: Positive integer, or None for the next free one.
        verify_paths: Images to compare the export with the model on; none for no comparison.
        threshold: Smallest cosine that the comparison accepts; None for that of the precision,
            `verification.THRESHOLDS`.

    Returns:
        `Published`.

    Raises:
        UserError: If the version exists, something does not fit, or the comparison fails.
    """
    folder = version_folder(out, version)
    facts = facts or CardFacts(name=folder.absolute().parent.name)
    verification = None
    threshold = THRESHOLDS[settings.precision] if threshold is None else threshold
    with atomic_path(folder) as temporary:
        dimension, folding = write_saved_model(model, temporary, settings)
        if len(verify_paths):
            verification = verify_export(temporary, model, settings, verify_paths, threshold)
        write_warmup(temporary, facts.name)
        write_model_card(temporary, model, settings, facts, dimension, folding, verification)
    return Published(folder, dimension, verification)
