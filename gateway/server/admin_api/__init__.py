"""The admin API, `/api/admin/v1`: the team's operations as JSON over HTTP."""
