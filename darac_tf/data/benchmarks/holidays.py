"""INRIA Holidays: groups of photographs of one scene, the first of each group is the query.

Its photographs lie as the camera was held; `orientation` says how they are turned upright.
"""

from pathlib import Path

import numpy as np

from darac_tf.data.benchmarks.ground_truth import check_name, check_unlike, read_lines
from darac_tf.data.benchmarks.image_files import ImageFiles, stem
from darac_tf.data.benchmarks.published import PUBLISHED
from darac_tf.data.retrieval_set import RetrievalSet
from darac_tf.data.views import ImageList
from darac_tf.errors import UserError

NAME_LISTS = ("holidays_images.dat", "eval_holidays/holidays_images.dat")
GROUP = 100  # names are numbers; hundreds are queries
ORIENTATIONS = ("upright", "stored", "list")


def load_holidays(data_dir, orientation="stored", rotation_list=None):
    """Reads INRIA Holidays (Jegou et al., ECCV 2008).

    A name divisible by 100 is a query; the names up to the next query are its positives. The
    query images are in the database, and the protocol takes them out of their own rankings.

    Args:
        data_dir: Folder with the images (there, in `jpg` or in `images`) and, if wanted, the name
            list `holidays_images.dat`; without it all images there are taken.
        orientation: `"stored"` takes images as their pixels are stored, `"upright"` goes by their
            Exif orientation, `"list"` by the `rotation_list`.
        rotation_list: Text file with `name quarter_turns` a line, turns counter-clockwise (0..3),
            in which images that are upright already need no line.

    Returns:
        `RetrievalSet` of the protocol "holidays".

    Raises:
        UserError: If there are no images, one of the list is missing, a name doesn't fit the
            scheme, a query has no positives, or the rotation list doesn't fit.
    """
    files = ImageFiles(data_dir)
    names, source = holidays_names(files)
    query_rows, positives = group_names(names, source)
    paths = files.find(names, source)
    turns, how = None, "images as stored; EXIF orientation is not applied"
    if orientation == "upright":
        how = "upright by EXIF orientation"
    elif orientation == "list":
        turns = _listed_turns(paths, Path(rotation_list))
        how = f"upright by the list {Path(rotation_list).name}; {np.count_nonzero(turns)} of "
        how += f"{len(turns)} images turned"
    images = ImageList(paths, turns=turns, upright=orientation == "upright")
    origin = "the files in the folder" if source == str(files.data_dir) else Path(source).name
    return RetrievalSet(
        name=PUBLISHED["holidays"].title,
        protocol=PUBLISHED["holidays"].protocol,
        database=images,
        queries=images.select(query_rows),
        own_rows=query_rows,
        relevance={"positives": positives},
        notes=(f"Ground truth: names of {origin}.", f"Orientation: {how}."),
    )


def holidays_names(files):
    """The names of `ImageFiles` in order, and the file or folder they are from; errors as above."""
    for candidate in NAME_LISTS:
        path = files.data_dir / candidate
        if path.is_file():
            lines = read_lines(path, path, "fetch the name list again")
            words = [line.split()[0] for line in lines if line.strip()]
            names = [stem(check_name(word, str(path))) for word in words]
            check_unlike(names, str(path))
            return names, str(path)
    names = files.all_names()
    for name in names:
        _number(name, str(files.paths[name]))
    return sorted(names, key=int), str(files.data_dir)


def group_names(names, source):
    """Splits names, numbers in order, into queries and their positives: int64 rows.

    >>> rows, positives = group_names(["100000", "100001", "100002", "100100", "100101"], "list")
    >>> rows.tolist(), [group.tolist() for group in positives]
    ([0, 3], [[1, 2], [4]])

    As `load_holidays` for the errors; `source` is where the names are from, for messages.
    """
    numbers, queries, groups = [_number(name, source) for name in names], [], []
    for row, number in enumerate(numbers):
        query = number - number % GROUP
        if number == query:
            queries.append(row)
            groups.append([])
        elif not queries or numbers[queries[-1]] != query:
            raise UserError(
                f"{source}: {names[row]} does not follow its query {query}: add the query, or "
                "remove the image"
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
    """Raises a `UserError` if an orientation is unknown, or a list is missing or not asked for."""
    if orientation not in ORIENTATIONS:
        raise UserError(f"--orientation={orientation}: choose from {', '.join(ORIENTATIONS)}")
    if orientation == "list" and not rotation_list:
        raise UserError("--orientation=list needs --rotation_list, a file of `name quarter_turns`")
    if orientation != "list" and rotation_list:
        raise UserError(f"--rotation_list={rotation_list} needs --orientation=list")


def _number(name, source):
    if not (name.isascii() and name.isdecimal()):
        raise UserError(
            f"{source}: the image name {name} is no number, as those of Holidays are; remove it"
        )
    return int(name)


def _listed_turns(paths, file):
    turns = dict.fromkeys(Path(path).stem for path in paths)
    lines = read_lines(file, f"--rotation_list: {file}", "name a list of `name quarter_turns`")
    for number, words in enumerate(map(str.split, lines), start=1):
        if not words:
            continue
        where = f"--rotation_list: {file}, line {number}"
        if len(words) != 2 or words[1] not in ("0", "1", "2", "3"):
            raise UserError(f"{where}: must be `name quarter_turns` with 0 to 3 turns")
        name = stem(words[0])
        if name not in turns:
            raise UserError(f"{where}: no image {words[0]} in the data set; remove the line")
        if turns[name] is not None:
            raise UserError(f"{where}: {words[0]} is listed twice; remove one of the lines")
        turns[name] = int(words[1])
    return np.array([turn or 0 for turn in turns.values()], np.int64)
