"""A cluster of servers that others run: containers or hosts, which listen under their names."""
