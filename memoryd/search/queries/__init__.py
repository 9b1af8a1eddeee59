"""Every statement of the search."""
