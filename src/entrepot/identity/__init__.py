"""Who is calling: so far an administrator, or nobody that is known."""
