"""The stages that a pipeline can be made of, one module each (SPEC 7)."""
