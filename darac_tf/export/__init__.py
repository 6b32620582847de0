"""Export: one SavedModel from image bytes to descriptors, ready for TensorFlow Serving."""

from darac_tf.export.publishing import publish
from darac_tf.export.saved_model import export_saved_model
from darac_tf.export.settings import DEFAULT_MAX_PIXELS, PRECISIONS, ExportSettings

__all__ = ["DEFAULT_MAX_PIXELS", "PRECISIONS", "ExportSettings", "export_saved_model", "publish"]
