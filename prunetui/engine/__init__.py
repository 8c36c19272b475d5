"""What computes: data, models, training, edits and measurement. Sees neither the store nor a screen."""
