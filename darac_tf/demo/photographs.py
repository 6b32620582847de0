"""The demo on one's own photographs: which pooling finds them again, an index, a search."""

import shlex
from pathlib import Path

import numpy as np

from darac_tf.demo import page
from darac_tf.demo.searching import index_and_search
from darac_tf.describing.sizes import parse_sizes
from darac_tf.evaluation.selftest import METRICS, selftest
from darac_tf.evaluation.selftest_config import SelftestConfig
from darac_tf.export import ExportSettings, publish
from darac_tf.files import remove
from darac_tf.models import build_descriptor
from darac_tf.reports.web_page import write_page

# Of large folders, the self-test searches so many; all are indexed.
_AMONG, _QUERIES = 1000, 6


def show_photographs(folder, out, seed, say):
    """Does the demo on the photographs of a folder; returns the path of index.html.

    What is to be looked at is in `out`, the exported model and the index in `OUT-files`. `say` is
    called with a line for each part. `UserError` as of `selftest_task`, or if a photograph can't be
    indexed or something not written.
    """
    out, files = Path(out), Path(f"{out}-files")
    config = SelftestConfig(among=_AMONG, seed=seed, out=str(out))
    say(f"measuring {len(config.descriptors)} descriptors on altered copies")
    rows, pages = selftest(folder, config)
    scores = [[row.result.scores[name] for name in METRICS] for row in rows]
    best = max(range(len(rows)), key=lambda row: scores[row][::-1])
    names = [row.result.descriptor for row in rows]
    best_name = names[best]
    say(f"exporting {best_name}, indexing and searching")
    remove(files / "export")
    backbone, _, pooling = best_name.rpartition("+")
    sizes = parse_sizes(config.resolutions[0])
    model = build_descriptor(backbone, pooling=pooling)
    export = publish(model, files / "export", ExportSettings(sizes)).folder
    task, random = rows[best].task, np.random.default_rng(seed)
    asked = random.choice(task.images.paths[: task.n_database], _QUERIES, replace=False)
    search = out / "search.html"
    changes, found = index_and_search(export, [folder], asked, files / "index", search)
    lines = [f"{changes.total} images below {folder}, {len(changes.faults)} of them unreadable."]
    sections = [
        page.section(
            "Which descriptor finds them again",
            page.paragraph(
                f"{task.protocol}: cropped to a quarter to four fifths, turned, smaller, in other "
                "light, recompressed. R@1 is how often the original comes first, R@5 among five. "
                f"One photograph is {100 / len(rows[best].ap):.1f} %. {best_name} was taken."
            ),
            page.table(["", *METRICS], [[n, *s] for n, s in zip(names, scores, strict=True)], best),
        ),
        page.section("What was found", *found),
        page.section(
            "More",
            page.links(
                [
                    (search, f"{_QUERIES} photographs, and what is most like them"),
                    *(
                        (path, f"{n}: not found at first")
                        for n, path in zip(names, pages, strict=True)
                        if path
                    ),
                    (out / "report.md", "the report: settings, versions, all scores"),
                ]
            ),
        ),
        page.section("What to type next", page.commands(_next(files, folder))),
    ]
    write_page(out / "index.html", "DARAC on your photographs", lines, sections)
    return out / "index.html"


def _next(files, folder):
    files, folder = shlex.quote(str(files)), shlex.quote(str(folder))
    return [
        (
            "search with any picture",
            f"darac query PICTURE.jpg --index={files}/index --out=found.html",
        ),
        ("add photographs", f"darac index {folder} --index={files}/index"),
        ("pairs that are nearly the same", f"darac duplicates --index={files}/index"),
        (
            "other sizes and poolings",
            f"darac selftest {folder} --descriptors=EfficientNetLite2+rmac,"
            "EfficientNetLite2+gem --resolutions=299 --resolutions=299,540",
        ),
    ]
