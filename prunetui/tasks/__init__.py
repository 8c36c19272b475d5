"""Built-in tasks, one file each, through the same door as a user's."""
