"""What an evaluation leaves: table, JSON, comparison, page, pictures, plots."""
