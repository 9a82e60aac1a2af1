"""From measurements to models."""
