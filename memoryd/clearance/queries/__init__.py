"""Every statement of this room, by what it is about."""
