"""What approved pictures hold, over HTTP: who needs a content, and the decision that lets it go."""
