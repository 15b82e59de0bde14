"""Modules: candidate operations, the network an architecture makes, and how one network is trained and judged."""
