"""The commands on a team: its people and invitations, its admin tokens, and the audit log."""
