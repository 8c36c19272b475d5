"""Executes runs: joins the plan, the engine and the store.

``scheduler`` decides which trial may begin, an executor of the folder ``executors`` executes it somewhere,
``trial_loop`` joins the two, and ``execution`` is one run from its start to its end.

``python -m prunetui.execute RUN`` is the detached process of the terminal app; ``--batch`` calls ``execution.execute``
in its own process. Both leave the same folder behind, and both compute in worker processes.
"""
