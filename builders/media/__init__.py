"""Media: where bytes are (`items`), and what a file says about itself without being decoded (`headers`)."""
