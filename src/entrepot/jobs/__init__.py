"""Work nobody waits for, on a schedule: thin calls into the engine."""
