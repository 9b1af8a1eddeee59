"""Every statement about recalls, one module per part of it."""
