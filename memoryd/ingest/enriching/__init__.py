"""Everything derived from assets' contents after they were recorded: by chores, from one decode, again when asked for."""
