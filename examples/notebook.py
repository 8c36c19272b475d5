# %% [markdown]
# A study from a notebook: several methods on a network of your own, with seeds, a dense control and a chart.
# Editors that know `# %%` run this file cell by cell; `python notebook.py` runs all of it.

# %%
from __future__ import annotations

from pathlib import Path

import prunetui

HERE = Path(__file__).parent

# %% A study is plain data: names and files. `own_model.py` lies beside this file.
study = {
    "name": "own-network",
    "model": {"name": f"{HERE / 'own_model.py'}:make_net", "options": {"depth": 3}},
    "data": {"name": "digits"},
    "train": {"epochs": 4},
    "finetune": {"epochs": 1},
    "target": "channels",
    "measure": {"latency": False},
    "methods": ["l1-structured", "random-structured"],
    "sparsities": [0.25, 0.5],
}
run = prunetui.run(study, set={"seeds": [0, 1]})
print(run)

# %% One row a trial: a DataFrame where pandas is installed.
print(run.table())

# %% Mean and spread over the seeds, as the report draws it. The run may be opened again at any time.
figure = prunetui.open_run("last").figure(x="macs", y="top1")
figure.savefig("accuracy.png")

# %% The network of a trial.
net = run.model("l1-structured-0.5-s0", trust=True)  # it is built by own_model.py, which is yours
print(sum(parameter.numel() for parameter in net.parameters()), "parameters")
