"""What Syne Tune sees: blackboxes, the backend, their registration."""
