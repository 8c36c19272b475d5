"""Reading an image tree: listing, decoding in processes that need no torch, keeping what was decoded."""
