"""The `darac` command: a file of this folder for each of its commands."""
