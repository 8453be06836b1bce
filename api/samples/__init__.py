"""What one may try an API with: users, projects and leads; what they are, and how they get in."""
