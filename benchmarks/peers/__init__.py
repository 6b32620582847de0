"""Peers side by side: what users would take instead, on the same photographs in one run."""
