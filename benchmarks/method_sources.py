"""What each method's source does, what this program does, and why: the rows of the table in docs/methods.md."""

from __future__ import annotations

SAME = "the same"
TARGET = "all methods reach the study's target"
RATIOS = "hand-set ratios are a study's `[layers]` and sparsities"

SOURCES: dict[str, tuple[str, str, str]] = {
    "erk": (
        "budgets for random masks of RigL, over all layers",
        "the same budgets for magnitudes, over the layers that the study's rules let go",
        '`[layers] first = "prune"`, `last = "prune"` give the paper\'s layers; one rule for all methods keeps them '
        "comparable",
    ),
    "acdc": (
        "all layers, by turns of whole epochs; momentum reset on decompression (an option of the code)",
        "the same, over the layers that the study's rules let go; turns are parts of the training",
        "as for `erk`; trainings of any length",
    ),
    "global-unstructured": (
        "a threshold for each layer (Han); one for the net (torch)",
        "torch's",
        "its second source",
    ),
    "gradient": ("absolute weight x gradient of one batch", "of the mean over the calibration images", "less noise"),
    "granet": (
        "thresholds of magnitude along a cubic, then regrowth by gradient, all layers; ImageNet every 4000 steps",
        "the same with exact counts, over the layers that the study's rules let go; ten times before `until` at least",
        "as for `erk`; short trainings have few steps",
    ),
    "grasp": (
        "sums the gradient over all batches, then Hessian x gradient, in training mode; linear layers drawn anew first",
        "the same, but the net stays as it was initialised",
        "what is scored is what is trained",
    ),
    "l1-unstructured": (
        "a threshold for each layer, quality x standard deviation",
        "the same share everywhere",
        TARGET,
    ),
    "lamp": (SAME, SAME + ", over the layers that the study's rules let go", "as for `erk`"),
    "movement": (
        "trains with the lowest scores of each matrix hidden (straight-through); scores by Adam at a rate of their own",
        "the same, scores summed without Adam; soft movement is not offered",
        "the formula of the paper; a rate cancels in a ranking",
    ),
    "dsnot": (
        "exchanges from wanda's, magnitude's or SparseGPT's masks, until the mean error is below 0.1; variances are "
        "means of single sequences'; MLPs are left as they were",
        "the same from wanda's or magnitude's; the variance of all inputs together; every layer",
        "`exclude` leaves layers out; SparseGPT moves weights, which an exchange would not make up for",
    ),
    "nm": (
        "magnitude 2:4, then retraining; apex permutes channels first and leaves out small layers",
        "without permutation, every layer that the pattern fits",
        "permutations change the network's wiring",
    ),
    "obc": (
        "rows one by one, each layer's survivors moved as weights go, at the dense inputs",
        "the same order; survivors fitted jointly to the dense outputs from the pruned inputs; long rows in parts",
        "better at equal cost",
    ),
    "obd": ("the Hessian's diagonal", "the diagonal of the empirical Fisher matrix", "no second derivatives needed"),
    "obs": (
        "one weight at a time (1993); all weights of a block as if each went alone (WoodFisher, oBERT)",
        "one by one within a block, in rounds; survivors jointly",
        "of two weights that stand in for each other one stays",
    ),
    "powerpropagation": (
        "trains theta in w = theta |theta|^(alpha - 1) everywhere; magnitude within each, of the last half the share",
        "the same in the layers that the study's rules let go, the same share of each",
        TARGET,
    ),
    "random-unstructured": (SAME, SAME, ""),
    "rigl": (
        "exchange in place of the optimiser's step, every 100 steps, ERK over all layers",
        "the same, over the layers that the study's rules let go; at least one exchange an epoch",
        "as for `erk`; short trainings have few steps",
    ),
    "set": (
        "drops a share of the positive and of the negative weights after every epoch but the last; random values",
        'the same with values of zero; `drop = "magnitude"` besides',
        "weights that grow start at zero, as in RigL's comparison",
    ),
    "snip": ("one batch, at initialisation", "all calibration images, at initialisation", "less noise"),
    "sr-ste": (
        "n:m in every forward pass, straight-through, + lambda x what is hidden to the gradient; all layers",
        "the same in every layer that the pattern fits and the study's rules let go; the first batch is dense",
        "one rule for all methods keeps them comparable",
    ),
    "sparsegpt": (
        "column by column, masks of 128 columns or n:m, block by block; linear layers of language models",
        "the same layer by layer; a convolution is the linear layer of its unfolded input",
        "convolutional networks have few blocks",
    ),
    "srigl": (
        "RigL with one fan-in a layer; neurons with few salient weights go; exchange in place of the step; all layers",
        "the same, over the layers that the study's rules let go; fan-ins differ by one where the count asks for it",
        "as for `rigl`; an exact number of weights",
    ),
    "str": (
        "soft thresholds a layer, learned with the weights; the sparsity follows from weight decay and first threshold",
        "the same in the layers that the study's rules let go; the smallest of what is left are cut at the end",
        TARGET,
    ),
    "synflow": (SAME + ", 100 rounds, at initialisation", SAME, ""),
    "taylor": ("(weight x gradient)^2 of whole filters", "of single weights", "`taylor-structured` is the paper's"),
    "threshold": (
        "quality x the layer's standard deviation",
        'a magnitude; `unit = "deviation"` is the source\'s',
        "one number for the whole net is what most ask for",
    ),
    "wanda": (
        "linear layers of language models, block by block, within each output",
        "the same, and `ria`, `owl`, `alpha` as options; a kernel element has the norm of all that it reads",
        "the convolution as the linear layer it is",
    ),
    "kernel-norm": ("within a layer, by the sum of magnitudes", "across the net, per average weight, L2", "options"),
    "kernel-svd": ("kernels of Mao et al., weighed by their singular values", "our own criterion", "an own study's"),
    "apoz": (
        "zeros after the ReLU; removes what is a standard deviation above the mean, layer after layer",
        "the same percentage; the study's ratio in every layer, at once",
        TARGET,
    ),
    "bn-scale": (
        "trains 160 epochs under an L1 penalty on the scales, then one threshold for the net",
        "the penalty only if `epochs` are asked for; coupled channels score their mean scale",
        "one dense net for all methods; the paper's nets have no coupled channels",
    ),
    "chip": (
        "nuclear norms of 5 x 128 images after the ReLU; " + "ratios by hand",
        "16 images by default; the same ratio everywhere",
        "a decomposition a channel and image; " + RATIOS,
    ),
    "fisher-structured": (
        "half the squared sum of activation x gradient, each reader's own; one channel at a time in training, by cost",
        "the same score, all channels at once, without the division by cost",
        TARGET,
    ),
    "fpgm": ("zeroes filters after every epoch and chooses anew", "the same with `epochs`, else once", "one dense net"),
    "group-lasso": (
        "2^(alpha s) x squared norm, batch norms' scales included; s by norms (code) or squared norms (paper)",
        'as the code; `penalty = "lasso"` besides, which DepGraph\'s is not',
        "the name is older than the option",
    ),
    "group-norm": (
        "mean square over filters, scales and readers, relative to the group's mean; Torch-Pruning leaves out "
        "depthwise convolutions and adds up grouped readers",
        "the same, of all layers, each channel with its own readers",
        "what goes with a channel; [beside each other](torch-pruning.md)",
    ),
    "growing-reg": (
        "decay + 1e-4 every 5 or 10 batches until kept / pressed is 1000, then 10,000 to 40,000 batches",
        "the same, with steps as large as the training is short",
        "recoveries of a few epochs",
    ),
    "hrank": ("ranks of 500 images after the ReLU; ratios by hand", "the same ranks; one ratio", RATIOS),
    "l1-structured": (
        "channels inside blocks; a shortcut's filters decide for the stream; ratios by sensitivity",
        "all coupled layers add up; one ratio",
        RATIOS,
    ),
    "l2-structured": ("zeroes filters every epoch and chooses anew", "the same with `epochs`, else once", "as `fpgm`"),
    "obs-structured": (
        "heads, MLP widths and whole modules of language models, each matrix by itself; widths by a latency table and "
        "a search; trained with distillation",
        "all coupled channels, their readers' relative errors added up; survivors fitted jointly to the dense outputs "
        "from the pruned inputs; ranked by cost per MAC (or what else the target is of); no distillation of its own",
        TARGET + "; one recipe for all",
    ),
    "random-structured": ("masks one layer's filters", "removes them from all layers coupled to them", "smaller nets"),
    "taylor-structured": (
        "gates behind batch norms, squared per batch, in training mode, a few channels at a time, moving average",
        'the same gates on the calibration images in evaluation mode, all at once; `gate = "weights"` besides',
        "the net is looked at, not trained; [whole layers may go](torch-pruning.md#taylor-global) unless a floor stays",
    ),
    "kmeans-merge": ("trains filters of a cluster together (C-SGD)", "merges them as they are", "no training needed"),
    "kmeans-shared": ("retrains with the clustering as a penalty", "shares the mean filter", "no training needed"),
    "hybrid": ("-", "a sequence of the others", "-"),
}
