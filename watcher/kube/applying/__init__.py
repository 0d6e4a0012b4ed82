"""Applying a bundle: the plan by server-side dry runs, the writes, take-over, prune, the diff."""
