"""The API as a background process of this machine: its files in the state folder, up, down, status.

Knows the cluster by the connection string in the state folder, and by nothing else.
"""
