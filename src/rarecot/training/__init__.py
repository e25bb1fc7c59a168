"""Training: requests, checks, runs, and one small file an algorithm. TRL trains; this decides what and writes it down."""
