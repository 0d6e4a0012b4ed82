"""The pure domain: no I/O, no clock, no log. Everything above may import it."""
