"""Loading: the builders that `datasets` knows by name, in place and streamed."""
