"""Tools for tests: of this program, of its plug-ins, and for its demo.

`watcher.testing.registry.FakeRegistry` is a registry on a real loopback socket. Nothing here
imports pytest or an HTTP client, so that it can be installed and used anywhere.
"""
