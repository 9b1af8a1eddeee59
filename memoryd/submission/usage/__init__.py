"""Usage: what jobs cost, by who asked for them and what they were; found again by their texts and by time."""
