"""Pipeline: from DATA to records, samples, rows, and Arrow tables."""
