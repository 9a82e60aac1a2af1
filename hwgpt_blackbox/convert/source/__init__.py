"""Reading and checking of measurements."""
