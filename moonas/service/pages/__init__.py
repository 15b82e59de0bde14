"""Pages that are not the dashboard's: the login, and the description of the API. Plain HTML without scripts."""
