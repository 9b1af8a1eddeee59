"""Every statement of the catalogue, one module per part of it."""
