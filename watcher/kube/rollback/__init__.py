"""Taking back what a run applied: what that needs to know, and putting it back."""
