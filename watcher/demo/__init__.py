"""`watcher demo`: the whole way of one tag on one machine, without a network."""
