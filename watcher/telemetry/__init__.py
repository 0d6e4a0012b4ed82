"""What the program says about itself while it runs; imports nothing of the package."""
