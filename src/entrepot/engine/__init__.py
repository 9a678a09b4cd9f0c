"""The use cases: pull, fill, list.  Effects only through ports."""
