"""Kubernetes as kubectl sees it: discovery, server-side apply, rollouts, rollbacks, prune.

Plain dicts go in and come out. Only `connection` imports the official client, when a stage first
needs a cluster; everything else here is pure or speaks through `client.ClusterClient`.
"""
