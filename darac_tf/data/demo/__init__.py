"""Drawn landmarks: a labelled data set for a machine without network."""
