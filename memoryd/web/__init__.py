"""Pages for people, rendered on the server. Metadata is hostile input and stays text."""
