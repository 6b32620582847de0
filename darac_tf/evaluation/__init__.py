"""Search, scores, whitening and reports: what turns descriptors into the numbers of a table."""
