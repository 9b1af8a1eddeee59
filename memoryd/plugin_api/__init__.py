"""What a format plugin may use, and all that it may use."""
