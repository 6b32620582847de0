"""Measures descriptors on a labelled collection, at every resolution, with whitening or not."""

from dataclasses import dataclass, field

from darac_tf.data import LabelledImages
from darac_tf.evaluation.combine import combine_resolutions, whiten
from darac_tf.evaluation.extraction import DEFAULT_BATCH_PIXELS, Extractor
from darac_tf.evaluation.labelled import Retrieval, leave_one_out, query_split
from darac_tf.evaluation.report import Result
from darac_tf.evaluation.whitening import Whitening, fit_pca_whitening


@dataclass(frozen=True)
class Protocol:
    """What is measured, the same for every descriptor.

    Attributes:
        images: The collection that is searched.
        query_split: Name of the split whose images are the queries; None for leave-one-out.
        resolutions: Settings, each a tuple of long sides in pixels whose descriptors are summed.
        whiten_images: Other images to fit a PCA whitening on, or None.
        whiten_dim: Dimension after whitening; None keeps all.
        batch_pixels: Most pixels in a batch.
    """

    images: LabelledImages
    query_split: str | None = None
    resolutions: tuple[tuple[int, ...], ...] = ((299,),)
    whiten_images: LabelledImages | None = None
    whiten_dim: int | None = None
    batch_pixels: int = DEFAULT_BATCH_PIXELS

    def describe(self):
        """One line for reports."""
        kind = f"queries of split {self.query_split}" if self.query_split else "leave-one-out"
        return f"{kind}, plain AP"


@dataclass(frozen=True)
class Measured:
    """One row of the table, and what it was made from.

    Attributes:
        result: The row.
        retrieval: Rankings and scores of every query.
        whitening: The whitening in use, or None.
    """

    result: Result
    retrieval: Retrieval = field(repr=False)
    whitening: Whitening | None = field(repr=False, default=None)


def evaluate(sources, protocol):
    """Yields a `Measured` for each descriptor, resolution setting and whitening.

    Each image is described once at each resolution, however many settings use it.

    Args:
        sources: List of `sources.Source`.
        protocol: `Protocol`.

    Raises:
        UserError: If an image cannot be read, no query has a positive, or the whitening set is too
            small for the dimension.
    """
    for source in sources:
        tested = _describe(source, protocol.images, protocol)
        fitted = _describe(source, protocol.whiten_images, protocol)
        for name in source.names:
            for resolutions in protocol.resolutions:
                descriptors = _combined(tested, name, resolutions)
                yield _measure(name, resolutions, descriptors, None, protocol)
                if fitted:
                    whitening = _fit(name, resolutions, fitted, protocol)
                    whitened = whiten(descriptors, whitening)
                    yield _measure(name, resolutions, whitened, whitening, protocol)


def _describe(source, images, protocol):
    """Dictionary of long side to name to descriptors."""
    if images is None:
        return None
    extractor = Extractor(source.describe, images.paths, protocol.batch_pixels)
    sides = sorted({side for setting in protocol.resolutions for side in setting})
    return {side: extractor.extract(side) for side in sides}


def _combined(described, name, resolutions):
    return combine_resolutions([described[side][name] for side in resolutions]).numpy()


def _fit(name, resolutions, fitted, protocol):
    provenance = {
        "kind": "pca",
        "descriptor": name,
        "resolutions": list(resolutions),
        "images": protocol.whiten_images.name,
    }
    descriptors = _combined(fitted, name, resolutions)
    return fit_pca_whitening(descriptors, protocol.whiten_dim, provenance)


def _measure(name, resolutions, descriptors, whitening, protocol):
    images = protocol.images
    if protocol.query_split:
        is_query = images.splits == protocol.query_split
        retrieval = query_split(descriptors, images.labels, is_query)
    else:
        retrieval = leave_one_out(descriptors, images.labels)
    per_query = [
        {"path": str(images.paths[query]), "ap": float(ap)}
        for query, ap in zip(retrieval.queries, retrieval.scores["ap"], strict=True)
    ]
    result = Result(
        descriptor=name,
        dimension=descriptors.shape[1],
        resolutions=tuple(resolutions),
        whitening=f"PCA on {whitening.provenance['images']}" if whitening else None,
        dataset=images.name,
        scores=retrieval.means,
        per_query=per_query,
        protocol=protocol.describe(),
        database_size=len(retrieval.database) - (protocol.query_split is None),
    )
    return Measured(result, retrieval, whitening)


def ranking_rows(measured, images, queries, ranks=8):
    """Rows for `pictures.draw_rankings`: chosen queries with their first ranks.

    Args:
        measured: `Measured`.
        images: The collection.
        queries: Numbers of the queries to show.
        ranks: How many ranks of each.
    """
    retrieval = measured.retrieval
    rows = []
    for query in queries:
        own = retrieval.queries[query]
        found = retrieval.rankings[query, :ranks]
        right = images.labels[found] == images.labels[own]
        first = zip(images.paths[found], right, retrieval.similarities[query], strict=False)
        ranked = [(str(path), bool(is_right), float(score)) for path, is_right, score in first]
        rows.append((str(images.paths[own]), float(retrieval.scores["ap"][query]), ranked))
    return rows
