"""Commands beside the graph."""
