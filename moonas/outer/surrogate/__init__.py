"""The model behind the `moonas` sampler: features, a Gaussian process, expected hypervolume improvement, the next candidate."""
