"""Executes runs: joins the plan, the engine and the store. Nothing else joins them.

``python -m prunetui.execute RUN`` is the detached child of the terminal app; ``--batch`` calls ``execution.execute`` in
its own process. Both leave the same folder behind, and both compute in children of theirs (``process_executor``).
"""
