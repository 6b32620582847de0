"""INRIA Holidays: groups of photographs of one scene, the first of each group is the query."""

from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.ground_truth import check_name, check_unlike
from darac_tf.data.benchmarks.image_files import ImageFiles, stem
from darac_tf.data.benchmarks.orientation import check_orientation, image_turns
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError

NAME_LISTS = ("holidays_images.dat", "eval_holidays/holidays_images.dat")
GROUP = 100  # names are numbers; hundreds are queries


def load_holidays(data_dir, orientation="stored", rotation_list=None):
    """Reads INRIA Holidays (Jegou et al., ECCV 2008).

    A name divisible by 100 is a query; the names up to the next query are its positives. The
    query images are in the database, and the protocol takes them out of their own rankings.

    Args:
        data_dir: Folder with the images (there, in `jpg` or in `images`) and, if wanted, the name
            list `holidays_images.dat`; without it all images there are taken.
        orientation: `"stored"`, `"exif"` or `"list"`: see `orientation.image_turns`.
        rotation_list: The file for `"list"`.

    Returns:
        `RetrievalSet` of the protocol "holidays".

    Raises:
        UserError: If there are no images, one of the list is missing, a name doesn't fit the
            scheme, a query has no positives, or an image can't be turned upright.
    """
    check_orientation(orientation, rotation_list)
    files = ImageFiles(data_dir)
    names, source = holidays_names(files)
    query_rows, positives = group_names(names, source)
    paths = files.find(names, source)
    turns, orientation_note = image_turns(paths, orientation, rotation_list)
    origin = "the files in the folder" if source == str(files.data_dir) else Path(source).name
    return RetrievalSet(
        name=PUBLISHED["holidays"].title,
        protocol=PUBLISHED["holidays"].protocol,
        database=ImageList(paths, turns=turns),
        queries=ImageList(paths[query_rows], turns=None if turns is None else turns[query_rows]),
        own_rows=query_rows,
        relevance={"positives": positives},
        notes=(f"Ground truth: names of {origin}.", orientation_note),
    )


def holidays_names(files):
    """The image names without endings, in order, and the file or folder that they are from.

    Raises:
        UserError: If the list can't be read or names an image twice, or there are no images.
    """
    for candidate in NAME_LISTS:
        path = files.data_dir / candidate
        if path.is_file():
            return _listed_names(path), str(path)
    names = files.all_names()
    for name in names:
        _number(name, str(files.paths[name]))
    return sorted(names, key=int), str(files.data_dir)


def group_names(names, source):
    """Splits names into queries and their positives.

    >>> rows, positives = group_names(["100000", "100001", "100002", "100100", "100101"], "list")
    >>> rows.tolist(), [group.tolist() for group in positives]
    ([0, 3], [[1, 2], [4]])

    Args:
        names: Image names, numbers, in order.
        source: Where they are from, for messages.

    Returns:
        int64 `(Q,)`: the rows of the queries; for each the int64 rows of its positives.

    Raises:
        UserError: If a name is no number or belongs to a query that isn't there, there are no
            queries, or one has no positives.
    """
    queries, groups, current = [], [], None
    for row, name in enumerate(names):
        number = _number(name, source)
        if number % GROUP == 0:
            current = number
            queries.append(row)
            groups.append([])
        elif current != number - number % GROUP:
            raise UserError(
                f"{source}: {name} does not follow its query {number - number % GROUP}: add the "
                "query, or remove the image"
            )
        else:
            groups[-1].append(row)
    if not queries:
        raise UserError(f"{source}: no queries, which are names divisible by {GROUP}, in it")
    for row, group in zip(queries, groups, strict=True):
        if not group:
            raise UserError(
                f"{source}: query {names[row]} has no other image: add one, or remove the query"
            )
    return np.array(queries, np.int64), [np.array(group, np.int64) for group in groups]


def _listed_names(path):
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: can't be read ({error}); fetch the name list again") from error
    names = [stem(check_name(line.split()[0], str(path))) for line in lines if line.strip()]
    check_unlike(names, str(path))
    return names


def _number(name, source):
    if not (name.isascii() and name.isdecimal()):
        raise UserError(
            f"{source}: the image name {name} is no number, as those of Holidays are; remove it"
        )
    return int(name)
