"""Keys and values of earlier versions, and what to write today."""

_CONVENTION = (
    "in a network write 'convention: paper_simulation', 'paper_recording' or 'signed_recording' for it, "
    "in any other model leave it out"
)
_CONSTANT = "it had one value, which is now fixed: leave it out"

OLD_KEYS = {
    **dict.fromkeys(
        ("loss", "nonlinearity", "reduction", "bias", "drop_incomplete_batch", "restore"), _CONVENTION
    ),
    **dict.fromkeys(("n_filters", "hidden_ratio", "filter_start", "bias_start", "search"), _CONSTANT),
    **dict.fromkeys(("means", "rate", "weigh_recordings", "over_width"), _CONSTANT),
    "bank": "write 'feature_bank'",
    "pool": "write 'average_pooling'",
    "stimuli": "simulations show generated images: leave it out",
    "feature_space": "simulated neurons are units of fixed filters: leave it out",
    "covariance_block": "crop images to where the stimulus is alike instead",
    "copies": "copies of a picture take the split of the earlier recording: leave it out",
    "background": "transparent pictures are refused: save them in front of what was shown behind them",
    "ignore": "columns that no key names are ignored: leave it out",
    "threads_per_fit": "every fit has one thread, because other numbers change its bytes: leave it out",
    "sta_whitening": "masks no longer start at whitened averages: leave it out",
    "relocation": "neurons are no longer moved during training: start masks at the squared average instead",
}
"""Old key to what to write; asked only for keys that a schema does not know at their place."""

OLD_VALUES = {
    "combined": "write 'ensemble'",
    "nchw": "write [image, channel, y, x]",
    "nhwc": "write [image, y, x, channel]",
    "whitened_sta": "masks no longer start at whitened averages: write 'squared_sta'",
    "identity": "the figure is no longer drawn: leave 'figure' out",
}
"""Old value to what to write; asked only for values that a schema does not list at their place."""
