"""What engines are handed, and what they say of it."""
