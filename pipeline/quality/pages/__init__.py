"""What people read of a set before they use or share it."""
