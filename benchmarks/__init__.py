"""Measurements of the node that are too long for the tests."""
