"""Measures what the watcher costs, beside a named peer on the same work: `python -m benchmarks`."""
