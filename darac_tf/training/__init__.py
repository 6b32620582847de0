"""Training: settings, step, loop, checkpoints, validation."""
