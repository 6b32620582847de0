"""DARAC: deep aggregation of regional convolutional activations, for TensorFlow and Keras.

The layout follows the pipeline: `regions` and `layers` (pooling), `models` (backbone + pooling),
`losses`, `data`, `training`, `evaluation`, `export`. Imports point one way only, in that order.
"""
