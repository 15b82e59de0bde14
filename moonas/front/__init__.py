"""Pareto fronts: NumPy in, NumPy out; every objective minimised."""
