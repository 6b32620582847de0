"""Export: one SavedModel from image bytes to descriptors, ready for TensorFlow Serving."""

from darac_tf.export.publishing import ExportSettings, export_saved_model, publish

__all__ = ["ExportSettings", "export_saved_model", "publish"]
