"""From images to descriptors: sizes, extraction, combination, what is kept on disk."""
