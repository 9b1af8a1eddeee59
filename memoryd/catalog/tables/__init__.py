"""What the memory stores. Content is named by SHA-256 (32 bytes)."""
