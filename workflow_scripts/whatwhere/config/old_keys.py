"""Keys of earlier versions, and what to write today."""

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
    "sta_whitening": "masks no longer start at whitened averages: leave it out",
    "relocation": "neurons are no longer moved during training: start masks at the squared average instead",
}
"""Old key to what to write; asked only for keys that a schema does not know at their place."""
