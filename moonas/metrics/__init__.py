"""Measured metrics: numbers of a network on a device, each one function of a `Subject`."""
