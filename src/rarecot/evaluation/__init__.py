"""Measuring: metrics, records, and the harness that makes one from a model."""
