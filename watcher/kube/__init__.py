"""Kubernetes as kubectl sees it: discovery, server-side apply, rollouts, rollbacks, prune.

Plain dicts go in and come out. `client` is the door to a cluster, with `connecting` behind it;
`manifests` makes objects of texts, `applying` applies them, `rollouts` follows them, `rollback`
takes them back.
"""
