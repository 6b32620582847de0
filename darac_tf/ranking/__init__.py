"""From vectors to rankings: exact and approximate search, query expansion, re-ranking."""
