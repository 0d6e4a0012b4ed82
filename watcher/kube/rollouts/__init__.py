"""Whether what was applied is rolled out, waiting for it, and why it is not."""
