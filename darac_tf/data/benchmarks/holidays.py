"""INRIA Holidays: groups of photographs of one scene, the first of each group is the query.

Its photographs lie as the camera was held; `image_turns` turns them upright.
"""

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from darac_tf.data.benchmarks.ground_truth import check_name, check_unlike
from darac_tf.data.benchmarks.image_files import ImageFiles, stem
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.images import unreadable
from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError

NAME_LISTS = ("holidays_images.dat", "eval_holidays/holidays_images.dat")
GROUP = 100  # names are numbers; hundreds are queries
ORIENTATIONS = ("stored", "exif", "list")
# Quarter turns counter-clockwise that undo each EXIF orientation (EXIF 2.32, tag 0x0112).
_TURNS = {1: 0, 3: 2, 6: 3, 8: 1}
_MIRRORED = (2, 4, 5, 7)


def load_holidays(data_dir, orientation="stored", rotation_list=None):
    """Reads INRIA Holidays (Jegou et al., ECCV 2008).

    A name divisible by 100 is a query; the names up to the next query are its positives. The
    query images are in the database, and the protocol takes them out of their own rankings.

    Args:
        data_dir: Folder with the images (there, in `jpg` or in `images`) and, if wanted, the name
            list `holidays_images.dat`; without it all images there are taken.
        orientation: `"stored"`, `"exif"` or `"list"`: see `image_turns`.
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


def check_orientation(orientation, rotation_list):
    """Checks the two options against each other.

    Raises:
        UserError: If the orientation is unknown, or a list is missing or not asked for.
    """
    if orientation not in ORIENTATIONS:
        raise UserError(f"--orientation={orientation}: choose from {', '.join(ORIENTATIONS)}")
    if orientation == "list" and not rotation_list:
        raise UserError("--orientation=list needs --rotation_list, a file of `name quarter_turns`")
    if orientation != "list" and rotation_list:
        raise UserError(f"--rotation_list={rotation_list} needs --orientation=list")


def image_turns(paths, orientation, rotation_list=None):
    """Quarter turns that make images upright, and a sentence for the report.

    Args:
        paths: The image files, `(images,)`.
        orientation: `"stored"` takes images as their pixels are stored, `"exif"` goes by their
            EXIF orientation, `"list"` by a file.
        rotation_list: For `"list"`: a text file with `name quarter_turns` a line, turns counter-
            clockwise (0..3). Images it doesn't name are upright already.

    Returns:
        int64 `(images,)` of quarter turns counter-clockwise, or None for `"stored"`; the sentence.

    Raises:
        UserError: If an image has a mirrored orientation or can't be read, or the list is wrong.
    """
    check_orientation(orientation, rotation_list)
    if orientation == "stored":
        return None, "Orientation: images as stored; EXIF orientation is not applied."
    if orientation == "exif":
        turns = np.array([_exif_turns(path) for path in paths], np.int64)
        how = "upright by EXIF orientation"
    else:
        turns = _listed_turns(paths, Path(rotation_list))
        how = f"upright by the list {Path(rotation_list).name}"
    return turns, f"Orientation: {how}; {np.count_nonzero(turns)} of {len(turns)} images turned."


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


def _exif_turns(path):
    try:
        with Image.open(path) as image:
            value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise UserError(unreadable(path)) from error
    if value in _MIRRORED:
        raise UserError(
            f"{path}: EXIF orientation {value} is mirrored, and images are only turned here; "
            "store it unmirrored, or use --orientation=list"
        )
    if value == 0:  # "unknown", which some cameras write
        return 0
    if value not in _TURNS:
        raise UserError(
            f"{path}: EXIF orientation {value!r} is none of 1 to 8; correct it, or use "
            "--orientation=list"
        )
    return _TURNS[value]


def _listed_turns(paths, file):
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--rotation_list: {file} can't be read ({error})") from error
    rows = {Path(path).stem: row for row, path in enumerate(paths)}
    turns, named = np.zeros(len(paths), np.int64), set()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        where = f"--rotation_list: {file}, line {number}"
        if len(words) != 2 or words[1] not in ("0", "1", "2", "3"):
            raise UserError(f"{where}: must be `name quarter_turns` with 0 to 3 turns")
        name = stem(words[0])
        if name not in rows:
            raise UserError(f"{where}: no image {words[0]} in the data set; remove the line")
        if name in named:
            raise UserError(f"{where}: {words[0]} is listed twice; remove one of the lines")
        named.add(name)
        turns[rows[name]] = int(words[1])
    return turns
