"""How a cluster is reached: configuration, credentials, connections, discovery, refusals.

Behind `kube.client`, which everything else uses. Only `connection` imports the official client.
"""
