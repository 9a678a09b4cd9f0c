"""Fakes, a scripted registry and port contracts, shipped so that other drivers can run them."""
