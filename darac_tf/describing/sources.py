"""What can be evaluated: trained descriptors, and poolings on backbones, by a short name."""

from dataclasses import dataclass
from pathlib import Path

import keras

from darac_tf.describing.fingerprint import model_fingerprint
from darac_tf.engines import DEFAULT_ENGINE, EngineSettings, make_engine
from darac_tf.errors import UserError
from darac_tf.files import exists
from darac_tf.hugging_face import HF
from darac_tf.models import POOLINGS, build_backbone, load_descriptor
from darac_tf.models.backbones import NAMES
from darac_tf.models.descriptor import POOLING_LAYER, backbone_of, make_pooling
from darac_tf.phases import phase


@dataclass(frozen=True)
class Source:
    """Descriptors that share a backbone, and so its cost.

    Attributes:
        names: Their names, as given.
        describe: Function of pixels to a dictionary of name to descriptors, or an engine.
        parts: For each name the layers that make it: backbone, preprocessing, pooling.
        engine: `EngineSettings` of `describe`, None for the layers as they are.
    """

    names: tuple[str, ...]
    describe: object
    parts: dict[str, tuple]
    engine: EngineSettings | None = None

    @property
    def dimensions(self):
        """Lengths of the descriptors."""
        parts = self.parts.values()
        return [pool.compute_output_shape(network.output_shape)[1] for network, _, pool in parts]

    def fingerprints(self):
        """Dictionary of name to a hash of all that its descriptors depend on."""
        engine = () if self.engine is None else (self.engine.fingerprint(),)
        return {name: model_fingerprint(*layers, *engine) for name, layers in self.parts.items()}


def load_sources(specs, backbone_weights=None, seed=0, engine=DEFAULT_ENGINE):
    """Loads descriptors by name.

    A name is a run directory or `.keras` descriptor, as trained, or `hf://USER/NAME`; or
    `BACKBONE+POOLING`, where BACKBONE is one of `backbones.NAMES`, a saved backbone, or a run
    directory or descriptor whose backbone is wanted.

    Args:
        specs: The names.
        backbone_weights: For backbones by name, see `build_backbone`.
        seed: Of random weights, where there are any.
        engine: `EngineSettings`, what runs the backbones.

    Returns:
        List of `Source`, one for each backbone.

    Raises:
        UserError: If a name is of neither kind or cannot be loaded, or the engine isn't installed.
    """
    poolings_of = {}
    for spec in specs:
        backbone, pooling = _parse(spec)
        poolings_of.setdefault(backbone, {})[spec] = pooling
    if len(set(specs)) != len(specs):
        raise UserError("--descriptors names one descriptor twice")
    return [_load(*item, backbone_weights, seed, engine) for item in poolings_of.items()]


def _parse(spec):
    backbone, plus, pooling = spec.rpartition("+")
    if exists(spec) or (spec.startswith(HF) and not plus):
        return spec, None
    if not plus:
        raise UserError(
            f"--descriptors: {spec!r} is neither a run directory or .keras file nor "
            "BACKBONE+POOLING"
        )
    if pooling not in POOLINGS:
        raise UserError(
            f"--descriptors: pooling {pooling!r} of {spec!r} is unknown; choose from "
            f"{', '.join(POOLINGS)}"
        )
    return backbone, pooling


def _load(backbone, poolings, backbone_weights, seed, engine):
    keras.utils.set_random_seed(seed)
    with phase(f"build {backbone}"):
        network, preprocessing, trained = _parts(backbone, poolings, backbone_weights)
    layers = {spec: trained if p is None else make_pooling(p) for spec, p in poolings.items()}
    for layer in layers.values():
        if not layer.built:
            layer.build((None, None, None, network.output_shape[-1]))
    parts = {spec: (network, preprocessing, layer) for spec, layer in layers.items()}
    with phase(f"copy {backbone} for {engine.engine}"):
        describe = make_engine(engine, network, preprocessing, layers)
    return Source(tuple(layers), describe, parts, engine)


def _parts(backbone, poolings, backbone_weights):
    """`(network, preprocessing, trained pooling or None)`."""
    if None in poolings.values():
        model = load_descriptor(backbone)
        return *backbone_of(model), model.get_layer(POOLING_LAYER)
    if backbone not in NAMES and (backbone.startswith(HF) or Path(backbone).exists()):
        backbone_weights = None  # A saved backbone holds its own.
    return *build_backbone(backbone, backbone_weights), None
