"""From per-case scores to an answer: statistics, tables, figures, report."""
