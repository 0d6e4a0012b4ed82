"""The own APIs of the kinds of registry, as the fake registry plays them: one module for each.

Imported by `watcher.testing.profiles` only.
"""
