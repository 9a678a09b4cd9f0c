"""The pages (not built yet)."""
