"""Logs and metrics: one small front, so that call sites stay one line."""
