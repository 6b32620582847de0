"""The demo: from drawn landmarks, or from one's own photographs, to a page that shows it."""
