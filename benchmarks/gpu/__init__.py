"""What decides the speed on a GPU."""
