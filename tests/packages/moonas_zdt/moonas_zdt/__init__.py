"""A test function of multi-objective optimization, published to moonas by entry points."""
