"""The registry API (distribution-spec), pull side."""
