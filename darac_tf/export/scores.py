"""The rows of an evaluation's report.json that belong to an exported model."""

import json
from pathlib import Path

from darac_tf.errors import UserError
from darac_tf.reports.report import resolution_text

_KEPT = ("descriptor", "dataset", "protocol", "whitening", "combination", "post_processing")


def scores_from_report(path, model_path, resolutions, dimension):
    """Scores of a model at the resolutions and dimension of its export.

    Args:
        path: report.json of eval.py.
        model_path: Run directory or `.keras` file, as it was named for eval.py; folders in front of
            its name do not count.
        resolutions: Sizes of the export.
        dimension: Length of the exported descriptors.

    Returns:
        Non-empty list of dictionaries: "descriptor", "dataset", "protocol", "whitening",
        "combination", "post_processing" and "scores".

    Raises:
        UserError: If the file is no report, or holds no such row.
    """
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))["results"]
        found = [
            {key: row.get(key) for key in _KEPT} | {"scores": dict(row["scores"])}
            for row in rows
            if Path(row["descriptor"]).name == Path(model_path).name
            and row["dimension"] == dimension
            and list(map(resolution_text, row["resolutions"])) == list(map(str, resolutions))
        ]
    except OSError as error:
        raise UserError(f"--report: can't read {path}: {error.strerror}; check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"--report: {path} is no report.json of eval.py") from error
    if not found:
        raise UserError(
            f"--report: {path} has no row of {Path(model_path).name} with {dimension} dimensions "
            f"at {','.join(map(str, resolutions))}"
        )
    return found
