"""Export: one SavedModel from image bytes to descriptors, ready for TensorFlow Serving."""

from darac_tf.export.publishing import (
    DEFAULT_MAX_PIXELS,
    PRECISIONS,
    ExportSettings,
    export_saved_model,
    publish,
)

__all__ = ["DEFAULT_MAX_PIXELS", "PRECISIONS", "ExportSettings", "export_saved_model", "publish"]
