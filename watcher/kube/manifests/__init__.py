"""From rendered texts to objects that may be applied, in their order: pure, without a cluster."""
