from prunetui.scripting.opened_run import OpenedRun as OpenedRun
from prunetui.scripting.opened_run import open_run as open_run
from prunetui.scripting.prune_network import prune as prune
from prunetui.scripting.pruning_report import PruningReport as PruningReport
from prunetui.scripting.saved_network import load as load
from prunetui.scripting.saved_network import save as save
from prunetui.scripting.start_run import run as run

__version__: str
