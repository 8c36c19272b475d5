"""Files read and written safely: whole or not at all, regular ones only, with limits. Torch-free."""
