"""What all figures share: colours, axes, saving."""
