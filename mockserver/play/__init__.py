"""What the mock plays, and what it has seen: states, faults, scenarios, the journal, the control port."""
