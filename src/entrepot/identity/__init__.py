"""Who is calling.  Empty until callers are told apart."""
