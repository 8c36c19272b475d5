"""Files that networks travel in, read as data: whoever wrote them, nothing in them is executed."""
