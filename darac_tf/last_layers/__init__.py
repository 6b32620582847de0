"""Training of the last layers and the pooling on stored maps of the layers below: minutes."""
