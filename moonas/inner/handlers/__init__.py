"""Budget handlers: what a budget does during a search."""
