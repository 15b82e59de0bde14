"""Latency: how long a forward pass takes."""

from __future__ import annotations

from moonas.metrics.subject import Reading, Subject, median, time_calls


def latency_ms(subject: Subject) -> Reading:
    """Milliseconds of one forward pass of the whole batch: the median of `repeats` passes after `warmups` others."""
    return median(1000 * time_calls(subject.forward, subject.warmups, subject.repeats))
