"""The audit log: lines in files, found again, and forwarded to who collects them."""
