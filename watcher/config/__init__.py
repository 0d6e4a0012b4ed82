"""The config file: YAML to frozen models of `core`; each key is declared once (see `fields`)."""
