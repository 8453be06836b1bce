"""What a drill loads a cluster with: concurrent clients, and the stores that they call."""
