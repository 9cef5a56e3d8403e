"""The page: words, charts, pictures."""
