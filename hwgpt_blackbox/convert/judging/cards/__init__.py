"""Report cards: their content, file, text and figures."""
