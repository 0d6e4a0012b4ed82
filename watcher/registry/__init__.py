"""The client of the v2 API: logins, limits, complete listings, verified manifests."""
