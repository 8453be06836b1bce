"""Who is asking: passwords, tokens, the gate before every route, and the routes to log in."""
