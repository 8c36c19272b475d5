"""Worker processes of the executor ``processes``: how they are started, spoken to, and how their ends are told."""
