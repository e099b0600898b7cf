"""Settings that a lab makes in the page: the endpoints at which models answer."""
