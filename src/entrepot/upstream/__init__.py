"""Talking to registries: challenge, token, endpoint, limit, retry."""
