"""What can be searched: spaces, devices, objectives, the encoding, counts, costs."""
