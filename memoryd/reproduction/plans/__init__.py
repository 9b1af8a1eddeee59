"""Plans before anybody asks: one asset held against the workers, and what of a project can no longer be made."""
