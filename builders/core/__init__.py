"""Core: findings, samples, counts, errors, locks and processes; what every other folder may import."""
