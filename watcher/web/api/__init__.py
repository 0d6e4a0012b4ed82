"""`/api/v1`: each operation is declared once, and reading, checking and OpenAPI come from that."""
