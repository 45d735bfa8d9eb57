"""Scores, locations and barcodes over the number of images: scores, ... -> data_efficiency.csv."""

from pathlib import Path

from whatwhere.conditions import over_seeds
from whatwhere.files import read_tables, write_table
from whatwhere.logs import run_job

KEYS = ["experiment", "dataset", "model", "selection", "n_neurons", "n_images"]


def main(scores: list[str], locations: list[str], barcode_scores: list[str], table: str | Path) -> None:
    """Writes one row per model, population and data size to ``table``.

    Columns: mean and standard deviation over seeds of FEVE (not clipped), of the localization error in pixels
    and of the adjusted Rand index with the true number of types.
    """
    rated, found = read_tables(scores), read_tables(locations)
    conditions = rated.groupby(KEYS, sort=False)
    rows = conditions.seed.nunique().rename("n_seeds").reset_index().merge(over_seeds(rated, ["feve"], KEYS))
    found = found[found.source == "mask"].rename(columns={"error": "location_error"})
    rows = rows.merge(over_seeds(found, ["location_error"], KEYS), how="left")
    if barcode_scores:
        agreement = read_tables(barcode_scores)
        agreement = agreement.rename(columns={"ari": "ari_any_number", "ari_known_number": "ari"})
        rows = rows.merge(over_seeds(agreement, ["ari", "ari_any_number"], KEYS), how="left")
    rows = rows.join(conditions[["converged", "at_edge"]].mean(), on=KEYS)
    write_table(rows, table)


if __name__ == "__main__":
    run_job(main, snakemake)
