"""What is printed, and text from elsewhere made harmless for it. Torch-free."""
