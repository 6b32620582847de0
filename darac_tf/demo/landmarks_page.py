"""What the demo on drawn landmarks has measured, as a page to look at."""

import shlex
from dataclasses import asdict
from pathlib import Path

import numpy as np

from darac_tf.data.images import decode_file
from darac_tf.demo import page
from darac_tf.models.descriptor import backbone_of
from darac_tf.reports.figures import save_png
from darac_tf.reports.query_rows import query_rows
from darac_tf.reports.ranking_page import query_article, write_ranking_page
from darac_tf.reports.region_weights import region_weights
from darac_tf.reports.report_files import write_all
from darac_tf.reports.web_page import Thumbnails, write_page
from darac_tf.reports.weight_plot import draw_weights

METRIC = "mAP (plain)"
_GAINED, _RANKS, _LISTED = 3, 5, 20


def write_landmarks_page(config, shown, seconds):
    """Writes index.html, what it links to, and report.json; returns the path of the first.

    Of a `DemoConfig`, what `landmarks.run` gave, and how long all took.
    """
    out, files = Path(config.out), Path(f"{config.out}-files")
    every = [measured for pair in shown.rows for measured in pair]
    write_all(out, every, asdict(config))
    best = shown.rows[-1][1]
    task = best.task
    _draw_weights(shown, task.images.paths[0], out / "weights.png")
    rows = query_rows(task, best.rankings, best.ap, ranks=8)
    title = f"DARAC trained, whitened: mAP {_percent(best)}"
    write_ranking_page(out / "queries.html", title, [], rows, _LISTED)
    lines = [
        f"{config.trained_classes} drawn landmarks to train on, {config.whitening_classes} others "
        f"to learn whitening on, {config.tested_classes} others to measure on, each seen in "
        f"{config.views} images at {config.image_size} pixels.",
        f"{config.backbone} with ImageNet weights; from {config.layer} on it was trained with NRA, "
        f"and so were DARAC's 42 weights: {config.steps} steps of {config.classes_per_batch} x "
        f"{config.images_per_class} images. All below stayed as it was.",
        f"Whitened to {config.whiten_dim} dimensions by pairs of images that match.",
        f"Everything took {seconds:.0f} seconds.",
    ]
    sections = [
        page.section(
            "What was measured",
            page.paragraph(
                f"Each of the {len(task.queries)} images is searched among the others; right are "
                "those of the same landmark. mAP (plain average precision) in %."
            ),
            _table(shown.rows),
        ),
        page.section(
            "Precision and recall", page.picture(out / "precision-recall.png", "Curves by row")
        ),
        page.section(
            "What was found",
            page.paragraph(
                f"The {_GAINED} images that gained most from the global average before "
                "training to DARAC after it, both whitened, and the one that DARAC finds least for."
            ),
            *_queries(shown.rows),
        ),
        page.section(
            "The 42 weights",
            page.paragraph(
                "What each of the 21 regions has in the descriptor, by its maximum and by its "
                "average; before training all are 1. Only their ratio counts."
            ),
            page.picture(out / "weights.png", "DARAC's weights on their regions"),
        ),
        page.section(
            "More",
            page.links(
                [
                    (out / "queries.html", "all that DARAC found, to sort and filter"),
                    (shown.search, "a search in an index, with the exported model"),
                    (out / "report.md", "the report: settings, versions, all scores"),
                ]
            ),
        ),
        page.section("What to type next", page.commands(_next(files, config.seed))),
    ]
    write_page(out / "index.html", "DARAC on drawn landmarks", lines, sections)
    return out / "index.html"


def _percent(measured):
    return f"{100 * measured.result.scores[METRIC]:.1f} %"


def _table(rows):
    cells = [
        (pair[0].result.descriptor, *(measured.result.scores[METRIC] for measured in pair))
        for pair in rows
    ]
    best = max(range(len(rows)), key=lambda row: max(cells[row][1:]))
    return page.table(["", "mAP", "mAP, whitened"], cells, best)


def _queries(rows):
    """Articles of queries: the whitened global average before training, then the trained DARAC."""
    before, after = rows[0][1], rows[-1][1]
    gained = np.argsort(before.ap - after.ap, kind="stable")[:_GAINED].tolist()
    worst = int(np.argmin(after.ap))
    for query in dict.fromkeys([*gained, worst]):
        for measured in (before, after):
            (row,) = query_rows(measured.task, measured.rankings, measured.ap, [query], _RANKS)
            found = [row.query_path, *(image.path for image in row.ranks)]
            yield page.paragraph(f"{measured.result.descriptor}, whitened")
            yield query_article(row, _RANKS, Thumbnails([*found, *measured.task.images.paths]))


def _draw_weights(shown, path, picture):
    image = decode_file(path, is_upright=True).numpy()
    network, _ = backbone_of(shown.model)
    shape = network.compute_output_shape((1, *image.shape))[1:3]
    weights = region_weights(shown.model, "the demo")
    save_png(draw_weights("Region weights of DARAC", weights, *shape, image), picture)


def _next(files, seed):
    files = shlex.quote(str(files))
    return [
        (
            "the same on your own photographs, without labels",
            "darac demo --photos=PHOTOS --out=runs/photos-demo",
        ),
        (
            "train on your photographs, a folder for each thing that is seen",
            "darac train --config=small --backbone=EfficientNetLite0 --dataset=folder "
            "--data_dir=PHOTOS --val_classes=10 --run_dir=runs/photos",
        ),
        (
            "measure another descriptor on the demo's landmarks",
            f"darac eval --descriptors={files}/darac.keras,EfficientNetLite0+gem --dataset=folder "
            f"--data_dir={files}/landmarks-{seed}",
        ),
        (
            "search in the demo's index with any picture",
            f"darac query PICTURE.jpg --index={files}/index --out=found.html",
        ),
    ]
