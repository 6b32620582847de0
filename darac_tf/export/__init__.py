"""Export: one SavedModel from image bytes to descriptors."""

from darac_tf.export.saved_model import export_saved_model

__all__ = ["export_saved_model"]
