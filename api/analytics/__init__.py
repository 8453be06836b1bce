"""What was asked of the API, by day and route, and by how many: counted by itself, for nobody else.

No id of anybody is stored, no address and no path; see sketch.py.
"""
