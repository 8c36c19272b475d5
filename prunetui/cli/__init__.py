"""Commands: argv to a batch run, the app, or a table."""
