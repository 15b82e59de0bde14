"""What can be built: cells, operations by name, exact costs, budgeted decoding. NumPy only."""
