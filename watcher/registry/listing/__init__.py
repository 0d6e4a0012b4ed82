"""Complete lists, page by page: tags, repositories, and the tail of what only grows."""
