"""What recalls are measured on."""
