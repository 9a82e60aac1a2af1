"""From arrays to predicted values, the same on every machine: sums over layers, noise."""
