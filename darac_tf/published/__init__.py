"""Models as others have published them, as run directories: one layout of files a module."""
