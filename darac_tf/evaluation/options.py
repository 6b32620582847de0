"""From the settings of an evaluation, an `EvalConfig`, to what `evaluate` takes."""

import logging
from dataclasses import fields, replace

from darac_tf.choices import ANTIALIAS, BENCHMARKS, EXACT
from darac_tf.data import load_benchmark, load_dataset, needs_data_dir
from darac_tf.data.labelled import image_files
from darac_tf.describing.calibration import read_calibration
from darac_tf.describing.feature_file import SUFFIX, load_feature_file
from darac_tf.describing.sizes import parse_sizes
from darac_tf.describing.sources import load_sources
from darac_tf.describing.vector_files import is_vector_file, load_vectors, write_image_list
from darac_tf.engines import DEFAULT_ENGINE, EngineSettings
from darac_tf.errors import UserError
from darac_tf.evaluation.evaluator import Settings, evaluate
from darac_tf.evaluation.local import InlierReranker, extraction_at, load_local
from darac_tf.evaluation.task import benchmark_task, labelled_task
from darac_tf.evaluation.whitening_source import FittingImages, WhiteningSource
from darac_tf.ranking.rank import RankingSettings
from darac_tf.systems.published import whitening_file
from darac_tf.whitening import load_whitening, parse_shrinkage

_LOG = logging.getLogger(__name__)


def read_task(config):
    """The `Task` that `dataset`, `data_dir` and the like name.

    `UserError` if settings don't fit each other, or the data can't be read.
    """
    if not config.descriptors and not config.list_images:
        raise UserError("--descriptors is missing: name run directories, or BACKBONE+POOLING")
    kind = config.dataset
    folder = config.distractors_dir
    distractors = image_files("--distractors_dir", folder) if folder else []
    if kind not in BENCHMARKS:
        if config.orientation == "list" or config.rotation_list:
            raise UserError("--orientation=list and --rotation_list are for --dataset=holidays")
        images = load_dataset(kind, config.data_dir, config.split, *_reading(config))
        return labelled_task(images, config.query_split, distractors)
    _refuse(config, f"is for folder and csv sets, not {kind}", "split", "query_split")
    how = config.crop_queries, config.orientation or "stored", config.rotation_list
    benchmark = load_benchmark(kind, config.data_dir, *how)
    # Distractors are taken as the images that they are put among.
    task = benchmark_task(benchmark, distractors, upright=how[1] != "stored")
    return replace(task, images=replace(task.images, max_pixels=config.max_pixels))


def read_settings(config):
    """How descriptors are measured: `evaluator.Settings`.

    `UserError` if settings don't fit each other, or the whitening can't be read.
    """
    if config.exponent is not None and config.combination != "gmean":
        raise UserError("--exponent is for --combination=gmean")
    ranks = {field.name: getattr(config, field.name) for field in fields(RankingSettings)}
    if config.rerank == "local":
        ranks["rerank"] = "none"
    how = config.resize, config.shapes
    resolutions = tuple(parse_sizes(text, *how) for text in config.resolutions)
    whitening = _whitening(config, resolutions)
    if whitening and whitening.loaded:
        orientation = _reading(config)[0]
        whitening.loaded.check_orientation(orientation)
        is_known = "orientation" in whitening.loaded.provenance
        if orientation == "upright" and config.dataset not in BENCHMARKS and not is_known:
            _LOG.warning(
                "--whitening=%s does not say whether its images were turned upright, as these are",
                config.whitening,
            )
        _check_kernels(whitening.loaded.provenance.get("resolutions", ()), resolutions)
    names = ("combination", "exponent", "batch_pixels", "cache_dir", "scaled_decoding")
    return Settings(
        resolutions=resolutions,
        whitening=whitening,
        ranking=RankingSettings(**ranks),
        reranker=_reranker(config),
        skip_bad=config.skip_bad_images,
        **{name: getattr(config, name) for name in names},
    )


def read_sources(config, settings):
    """List of what `sources.described` knows: descriptors to compute, files, or local features.

    `settings` are what `read_settings` makes of the `config`. `UserError` if they don't fit each
    other, or anything can't be read.
    """
    names, calibration = config.descriptors, None
    if config.calibration:
        calibration = read_calibration(config.calibration, config.calibration_images)
    engine = EngineSettings(config.engine, config.precision, calibration)
    if config.matching == "local":
        _check_nothing_but_matching(config, settings, engine)
        return [load_local(name, config.allow_whiten_on_test) for name in names]
    computed = [name for name in names if not (name.endswith(SUFFIX) or is_vector_file(name))]
    files = [
        load_feature_file(name) if name.endswith(SUFFIX) else load_vectors(name)
        for name in names
        if name not in computed
    ]
    fitting = settings.whitening and settings.whitening.images
    for file in files:
        if fitting and file.paths is None:
            raise UserError(
                f"{file.name}: to fit a whitening, name the image of each vector, by the columns "
                "of --list_images"
            )
    if not computed:
        _check_nothing_to_compute(config, settings, engine)
    return [*load_sources(computed, config.backbone_weights, config.seed, engine), *files]


def measure(config):
    """Iterator of `evaluator.Measured`: a row for all that the settings name; errors as above."""
    task, settings = read_task(config), read_settings(config)
    return evaluate(read_sources(config, settings), task, settings)


def list_images(config):
    """Writes `list_images`, the CSV file of what is described; returns a line that says so."""
    task, whitening = read_task(config), read_settings(config).whitening
    lists = [task.images, *filter(None, [whitening and whitening.images])]
    write_image_list(config.list_images, *lists)
    return f"{config.list_images}: {sum(map(len, lists))} images"


def _check_nothing_but_matching(config, settings, engine):
    """Refuses what is done to descriptors, where local features are matched."""
    why = "is for --matching=global"
    names = ("whitening", "whiten_data_dir", "augmentation_n", "faiss_index", "scaled_decoding")
    _refuse(config, why, *names, "expansion", "rerank")
    if settings.whitening:
        raise UserError(f"--whiten_dataset {why}")
    if engine != DEFAULT_ENGINE:
        raise UserError("--engine and --precision are for --matching=global")


def _check_nothing_to_compute(config, settings, engine):
    """Refuses what says how descriptors are computed, where all are read from files."""
    why = "for descriptors that are computed, not those of files"
    if settings.resolutions != Settings.resolutions:
        raise UserError(f"--resolutions is {why}")
    _refuse(config, f"is {why}", "scaled_decoding")
    if engine != DEFAULT_ENGINE:
        raise UserError(f"--engine and --precision are {why}")


def _whitening(config, resolutions):
    if config.whitening:
        why = "fits a whitening, and --whitening names a fitted one"
        _refuse(config, why, "whiten_data_dir", "whiten_dim", "whiten_split", "whiten_images")
        files = {whitening_file(config.whitening, len(sizes)) for sizes in resolutions}
        if len(files) > 1:
            raise UserError("--whitening: the run has one for one size, and one for several")
        loaded = load_whitening(files.pop())
        return WhiteningSource(loaded=loaded, allow_on_test=config.allow_whiten_on_test)
    kind = config.whiten_dataset
    if not config.whiten_data_dir and (kind in BENCHMARKS or needs_data_dir(kind)):
        names = ("whiten_dim", "whiten_split", "whiten_images")
        _refuse(config, "needs --whiten_data_dir", *names)
        return None
    if kind in BENCHMARKS:
        images = load_benchmark(kind, config.whiten_data_dir)
    else:
        how = _reading(config)
        images = load_dataset(kind, config.whiten_data_dir, config.whiten_split, *how)
    return WhiteningSource(
        fitting=FittingImages.of(images, config.whiten_kind).some(
            config.whiten_images, config.seed
        ),
        kind=config.whiten_kind,
        dim=config.whiten_dim,
        shrinkage=parse_shrinkage(config.whiten_shrinkage),
        power=config.whiten_power,
        seed=config.seed,
        allow_on_test=config.allow_whiten_on_test,
    )


def _reading(config):
    """How own photographs are read: their orientation, and the most pixels."""
    return "stored" if config.orientation == "stored" else "upright", config.max_pixels


def _check_kernels(fitted_at, resolutions):
    """Refuses a whitening of images that were resized in another way, where it says how."""
    found = {str(size).partition("-")[2] for sizes in resolutions for size in sizes}
    fitted = {str(size).partition("-")[2] for size in fitted_at}
    if fitted and not found <= fitted:
        how = ", ".join(sorted(option or f"{ANTIALIAS}, {EXACT}" for option in fitted))
        advice = "give that --resize and --shapes"
        raise UserError(f"--whitening was fitted on images resized by {how}: {advice}")


def _reranker(config):
    """The re-ranking that needs more than descriptors, or None."""
    if config.rerank != "local":
        _refuse(config, "is for --rerank=local", "local_model")
        if config.local_resolutions != type(config).local_resolutions:
            raise UserError("--local_resolutions is for --rerank=local")
        return None
    if not config.local_model:
        raise UserError("--rerank=local needs --local_model: a run of train.py --system=delf")
    source = load_local(config.local_model, config.allow_whiten_on_test)
    extraction = extraction_at(parse_sizes(config.local_resolutions))
    return InlierReranker(source, config.rerank_depth, extraction)


def _refuse(config, why, *names):
    for name in names:
        if getattr(config, name) not in (None, "", 0, "none"):
            raise UserError(f"--{name} {why}")
