"""One differentiable search: supernets, methods (one file each), budget handlers, and the search that joins them."""
