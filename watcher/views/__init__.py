"""What users are shown of the state: the JSON shapes of SPEC 8, for command line and API."""
