"""From the options of an evaluation to what `evaluate` takes.

Options are a dictionary, by the names of eval.py's flags.
"""

import dataclasses
from pathlib import Path

from darac_tf.data import BENCHMARKS, load_benchmark, load_dataset, needs_data_dir
from darac_tf.data.images import IMAGE_SUFFIXES, images_below
from darac_tf.describing.feature_file import SUFFIX, load_feature_file
from darac_tf.describing.sizes import parse_sizes
from darac_tf.describing.sources import load_sources
from darac_tf.engines import DEFAULT_ENGINE, EngineSettings
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.local import InlierReranker, load_local
from darac_tf.evaluation.task import benchmark_task, labelled_task
from darac_tf.evaluation.whitening_source import FittingImages, WhiteningSource
from darac_tf.ranking import rank as ranking
from darac_tf.reports.compare import compare as compare_reports
from darac_tf.whitening import load_whitening, parse_shrinkage

_LOCAL = "local"
# By what rankings can be re-ranked: their descriptors, or local features.
RERANKINGS = (*ranking.RERANKINGS, _LOCAL)


def read_task(options):
    """The `Task` that `dataset`, `data_dir` and the like name.

    Raises:
        UserError: If the options don't fit each other, or the data can't be read.
    """
    if not options["descriptors"]:
        raise UserError("--descriptors is missing: name run directories, or BACKBONE+POOLING")
    kind = options["dataset"]
    distractors = _images_below(options["distractors_dir"])
    if kind not in BENCHMARKS:
        if options["orientation"] != "stored" or options["rotation_list"]:
            raise UserError("--orientation and --rotation_list are for --dataset=holidays")
        images = load_dataset(kind, options["data_dir"], options["split"])
        return labelled_task(images, options["query_split"], distractors)
    _refuse(options, f"is for folder and csv sets, not {kind}", "split", "query_split")
    names = ("data_dir", "crop_queries", "orientation", "rotation_list")
    benchmark = load_benchmark(kind, *(options[name] for name in names))
    return benchmark_task(benchmark, distractors)


def read_settings(options):
    """How descriptors are measured: `evaluator.Settings`.

    Raises:
        UserError: If the options don't fit each other, or the whitening can't be read.
    """
    if options["exponent"] is not None and options["combination"] != "gmean":
        raise UserError("--exponent is for --combination=gmean")
    fields = dataclasses.fields(ranking.RankingSettings)
    ranks = ranking.RankingSettings(**{field.name: options[field.name] for field in fields})
    if ranks.rerank == _LOCAL:
        ranks = dataclasses.replace(ranks, rerank="none")
    return Settings(
        resolutions=tuple(parse_sizes(text) for text in options["resolutions"]),
        combination=options["combination"],
        exponent=options["exponent"],
        whitening=_whitening(options),
        ranking=ranks,
        reranker=_reranker(options),
        batch_pixels=options["batch_pixels"],
        cache_dir=options["cache_dir"],
        skip_bad=options["skip_bad_images"],
        scaled_decoding=options["scaled_decoding"],
    )


def read_sources(options, settings):
    """What is measured: descriptors to compute, feature files, or local features.

    Args:
        options: The options.
        settings: What `read_settings` makes of them.

    Returns:
        List of what `sources.described` knows.

    Raises:
        UserError: If the options don't fit each other, or anything can't be read.
    """
    names = options["descriptors"]
    if options["matching"] == "local":
        _check_nothing_but_matching(options, settings)
        return [load_local(name, options["allow_whiten_on_test"]) for name in names]
    files = [load_feature_file(name) for name in names if name.endswith(SUFFIX)]
    computed = [name for name in names if not name.endswith(SUFFIX)]
    engine = EngineSettings(options["engine"], options["precision"])
    if not computed:
        _check_nothing_to_compute(options, settings, engine)
    return [*load_sources(computed, options["backbone_weights"], options["seed"], engine), *files]


def measure(options):
    """Iterator of `evaluator.Measured`: a row for all that the options name.

    Raises:
        UserError: If the options don't fit each other, or anything can't be read.
    """
    task, settings = read_task(options), read_settings(options)
    return evaluate(read_sources(options, settings), task, settings)


def _check_nothing_but_matching(options, settings):
    """Refuses what is done to descriptors, where local features are matched."""
    why = "is for --matching=global"
    names = ("whitening", "whiten_data_dir", "augmentation_n", "faiss_index", "scaled_decoding")
    _refuse(options, why, *names)
    if settings.whitening:
        raise UserError(f"--whiten_dataset {why}")
    for name in ("expansion", "rerank"):
        if options[name] != "none":
            raise UserError(f"--{name} {why}")
    if EngineSettings(options["engine"], options["precision"]) != DEFAULT_ENGINE:
        raise UserError("--engine and --precision are for --matching=global")


def _check_nothing_to_compute(options, settings, engine):
    """Refuses what says how descriptors are computed, where all are read from files."""
    why = f"for descriptors that are computed, not {SUFFIX} files"
    if settings.resolutions != Settings.resolutions:
        raise UserError(f"--resolutions is {why}")
    _refuse(options, f"is {why}", "scaled_decoding")
    if engine != DEFAULT_ENGINE:
        raise UserError(f"--engine and --precision are {why}")


def compare(reports):
    """As `reports.compare.compare`, for a list that may not be of two."""
    if len(reports) != 2:
        raise UserError(f"--compare takes two reports, as A.json,B.json, not {len(reports)}")
    return compare_reports(*reports)


def _whitening(options):
    if options["whitening"]:
        why = "fits a whitening, and --whitening names a fitted one"
        _refuse(options, why, "whiten_data_dir", "whiten_dim", "whiten_split")
        loaded = load_whitening(options["whitening"])
        return WhiteningSource(loaded=loaded, allow_on_test=options["allow_whiten_on_test"])
    kind = options["whiten_dataset"]
    if not options["whiten_data_dir"] and (kind in BENCHMARKS or needs_data_dir(kind)):
        _refuse(options, "needs --whiten_data_dir", "whiten_dim", "whiten_split")
        return None
    if kind in BENCHMARKS:
        images = load_benchmark(kind, options["whiten_data_dir"])
    else:
        images = load_dataset(kind, options["whiten_data_dir"], options["whiten_split"])
    return WhiteningSource(
        fitting=FittingImages.of(images, options["whiten_kind"]),
        kind=options["whiten_kind"],
        dim=options["whiten_dim"],
        shrinkage=parse_shrinkage(options["whiten_shrinkage"]),
        power=options["whiten_power"],
        seed=options["seed"],
        allow_on_test=options["allow_whiten_on_test"],
    )


def _reranker(options):
    """The re-ranking that needs more than descriptors, or None."""
    if options["rerank"] != _LOCAL:
        _refuse(options, "is for --rerank=local", "local_model")
        return None
    if not options["local_model"]:
        raise UserError("--rerank=local needs --local_model: a run of train.py --system=delf")
    source = load_local(options["local_model"], options["allow_whiten_on_test"])
    return InlierReranker(source, options["rerank_depth"])


def _images_below(folder):
    """Paths of all images below a folder, sorted."""
    if not folder:
        return []
    if not Path(folder).is_dir():
        raise UserError(f"--distractors_dir: no such folder: {folder}")
    found = images_below(folder)
    if not found:
        raise UserError(f"--distractors_dir: no image ({', '.join(IMAGE_SUFFIXES)}) below {folder}")
    return found


def _refuse(options, why, *names):
    for name in names:
        if options[name]:
            raise UserError(f"--{name} {why}")
