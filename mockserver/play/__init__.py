"""What the mock plays and what it received: states, faults, scenarios, the journal, the control port."""
