"""Expressions and manifests: pure, given data. Imported lazily by its users, for jinja2's cost."""
