"""Model files: SHA-256, safetensors headers, kinds. Knows no database."""
