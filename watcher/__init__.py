"""registry-watcher: polls container registries and runs pipelines for new tags."""

__version__ = "0.1.0"
