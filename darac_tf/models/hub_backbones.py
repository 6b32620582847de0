"""Backbones of KerasHub, by the name of their preset: an optional package, the extra `hub`."""

import keras
import numpy as np

from darac_tf.errors import UserError
from darac_tf.models.patch_tokens import PatchTokens, TokenMap
from darac_tf.models.preprocessing import Preprocessing

HUB = "hub:"


def hub_backbone(name, weights=None):
    """The backbone of a preset of KerasHub, and the preset's own preprocessing.

    Args:
        name: `hub:PRESET`: the name of a preset, `hf://USER/NAME` or another address that KerasHub
            takes, or a folder of `save_to_preset`. Presets are downloaded once, then cached.
        weights: None for the preset's own, `"none"` for random ones.

    Returns:
        `(model, preprocessing)`: of images `(batch, height, width, 3)` of any size to feature maps
        `(batch, rows, columns, channels)`; the tokens of a ViT's or DINOv2's patches are such a
        map, without those of the class and of registers. And a `Preprocessing`.

    Raises:
        UserError: If KerasHub is not installed, there is no such preset or it can't be downloaded,
            it takes no images, or has no map.
    """
    if weights not in (None, "none"):
        raise UserError(
            f"--backbone_weights={weights}: {name} has its own; leave the flag out, or give none"
        )
    hub = _keras_hub(name)
    preset = name.removeprefix(HUB)
    # What its images are like is a small file, and names of text models have none.
    converter = _read(hub.layers.ImageConverter, preset, name)
    backbone = _read(hub.models.Backbone, preset, name, load_weights=weights is None)
    if isinstance(backbone, hub.models.ViTBackbone):
        network = _vit(backbone)
    elif isinstance(backbone, hub.models.DINOV2Backbone):
        network = _dinov2(backbone)
    else:
        network = _convolutional(backbone, name)
    return network, _preprocessing(converter)


def _keras_hub(name):
    try:
        import keras_hub
    except ImportError as error:
        raise UserError(f"--backbone={name} needs KerasHub: pip install 'darac-tf[hub]'") from error
    return keras_hub


def _read(kind, preset, name, **options):
    try:
        return kind.from_preset(preset, **options)
    except Exception as error:  # Each way to a preset raises its own, and so does each class.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"--backbone: {name} is no preset of KerasHub for images that can be read "
            f"({lines[0][:200].rstrip(':')})"
        ) from error


def _preprocessing(converter):
    """`x * scale + offset` of pixels in [0, 255]; the size that a preset has is not asked for."""
    if converter.scale is None and converter.offset is None:
        return Preprocessing("none")
    scale = np.broadcast_to(1.0 if converter.scale is None else converter.scale, 3)
    offset = np.broadcast_to(0.0 if converter.offset is None else converter.offset, 3)
    deviation = 1.0 / (255.0 * scale)
    return Preprocessing("torch", (-offset * deviation).tolist(), deviation.tolist())


def _convolutional(backbone, name):
    """A network whose layers are convolutions, or that gives a map anyhow."""
    inputs = backbone.inputs
    if len(inputs) != 1 or not isinstance(backbone.output, keras.KerasTensor):
        known = ", ".join(each.name for each in inputs)
        raise UserError(
            f"--backbone: {name} is no network from images to one map; it takes {known}"
        )
    if inputs[0].shape[1:3] != (None, None):
        backbone = _of_any_size(backbone, name)
    return keras.Model(backbone.inputs[0], backbone.output, name=backbone.name)


def _of_any_size(backbone, name):
    try:
        other = type(backbone).from_config(backbone.get_config() | {"image_shape": (None, None, 3)})
        other.set_weights(backbone.get_weights())
    except Exception as error:  # Whatever its layers say of a size that is not known.
        height, width = backbone.inputs[0].shape[1:3]
        raise UserError(
            f"--backbone: {name} takes images of {height} x {width} only; of networks of "
            "tokens, ViT and DINOv2 take any size"
        ) from error
    return other


def _vit(backbone):
    embedding = backbone.get_layer("vit_patching_and_embedding")
    pairs = zip(embedding.image_size, embedding.patch_size, strict=True)
    positions = np.asarray(embedding.position_embedding.embeddings)
    leading = np.zeros((0, positions.shape[1]))
    if embedding.use_class_token:
        leading = np.asarray(embedding.class_token)[0]
    return _of_tokens(
        backbone.name,
        embedding.patch_embedding,
        PatchTokens([side // patch for side, patch in pairs], len(leading)),
        positions,
        leading,
        backbone.get_layer("vit_encoder"),
    )


def _dinov2(backbone):
    embedding = backbone.embeddings
    leading = np.asarray(embedding.cls_token)[0]
    if embedding.num_register_tokens:
        leading = np.concatenate([leading, np.asarray(embedding.register_tokens)[0]])
    grid = [side // embedding.patch_size for side in embedding.position_embedding_shape]
    return _of_tokens(
        backbone.name,
        embedding.patch_embeddings.projection,
        PatchTokens(grid, len(leading), embedding.antialias_in_interpolation),
        np.asarray(embedding.position_embeddings)[0],
        leading,
        lambda tokens: backbone.layernorm(backbone.encoder(tokens)[0]),
    )


def _of_tokens(name, projection, embed, positions, leading, encode):
    """A network of a transformer's own layers.

    Of `positions`, the last are those of the grid; the class token has one of its own before them.
    """
    images = keras.Input((None, None, 3), name="images")
    patches = projection(images)
    tokens = embed(patches)
    embed.positions.assign(positions[-np.prod(embed.grid) :].reshape(embed.positions.shape))
    if len(leading):
        leading[:1] += positions[0]
        embed.first.assign(leading)
    maps = TokenMap(len(leading), name="token_map")([encode(tokens), patches])
    return keras.Model(images, maps, name=name)
