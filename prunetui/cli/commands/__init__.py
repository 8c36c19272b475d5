"""One file a command: its arguments and what it calls. Everything heavy is imported when it runs."""
