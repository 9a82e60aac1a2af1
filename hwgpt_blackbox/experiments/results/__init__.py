"""What a run leaves: its file, its store, its scores."""
