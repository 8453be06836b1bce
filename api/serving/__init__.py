"""A gunicorn worker: how requests come off sockets, and answers go onto them (README.md)."""
