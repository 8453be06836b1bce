"""What a monitoring system is told of a cluster: see README.md in this folder."""
