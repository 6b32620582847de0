"""Training and test classes of the data sets of metric learning."""

from darac_tf.data import load_dataset
from darac_tf.data.training_sets import TRAINING_SETS
from darac_tf.errors import UserError

PUBLISHED = ("cub200", "cars196", "products")


def read_split(kind, data_dir, train_classes=None):
    """Training and test images of a data set, which share no class.

    Args:
        kind: `"cub200"`, `"cars196"`, `"products"` or `"folder"`.
        data_dir: Its folder.
        train_classes: Of a folder; None for half of its classes.

    Returns:
        Two `LabelledImages`.

    Raises:
        UserError: If a published set has another number of images or classes than it should, or
            nothing would be left for training or testing.
    """
    images = load_dataset(kind, data_dir)
    if kind in PUBLISHED:
        if train_classes is not None:
            raise UserError(f"--train_classes={train_classes}: {kind} has a split of its own")
        facts, found = TRAINING_SETS[kind], (len(images), len(images.class_names))
        if found != (facts.images, facts.classes):
            raise UserError(
                f"--data_dir={data_dir}: {found[0]} images of {found[1]} classes, and {kind} has "
                f"{facts.images} of {facts.classes}; unpack it anew, or name the right --dataset"
            )
        return images.split("train"), images.split("test")
    classes = len(images.class_names)
    count = classes // 2 if train_classes is None else train_classes
    if not 4 <= count <= classes - 2:
        raise UserError(
            f"--train_classes={count}: of {classes} classes four must train and two test at least"
        )
    is_training = images.labels < count
    return images.select(is_training), images.select(~is_training)
