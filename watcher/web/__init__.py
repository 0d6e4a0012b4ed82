"""The HTTP side of the daemon: health, metrics, the API, inbound webhooks (SPEC 9)."""
