"""Everything known about every neuron of one model: data.nc, fits.pt, scores, predictions -> neurons.nc."""

from pathlib import Path

from whatwhere.dataset import open_dataset
from whatwhere.files import read_netcdf, read_table, read_tensors, write_netcdf
from whatwhere.fitted.run import assemble
from whatwhere.fitted.selection import last_cell
from whatwhere.logs import logged
from whatwhere.neurons import describe


def main(
    dataset: str | Path,
    fits: str | Path,
    selection: str | Path,
    scores: str | Path,
    predictions: str | Path,
    averages: list[str],
    images: list[str],
    barcodes: list[str],
    output: str | Path,
) -> None:
    """Write what is known about the first seed and selection rule of the last cell.

    ``averages``, ``images`` and ``barcodes`` hold one file, or none for models that have none.
    """
    chosen = last_cell(read_table(selection), ["cell"])
    seed = int(chosen.seed.iloc[0])
    average, exciting, clusters = None, None, None
    if averages:
        with read_netcdf(averages[0]) as stored:
            average = stored["smoothed_sta"].sel(seed=seed).load()
    if images:
        with read_netcdf(images[0]) as found:
            exciting = found.load()
    if barcodes:
        table = last_cell(read_table(barcodes[0]))
        clusters = table[table.seed == seed]["cluster"]
    with open_dataset(dataset) as data, read_netcdf(predictions) as predicted:
        fitted = assemble(data, read_tensors(fits), chosen[chosen.seed == seed], read_table(scores))
        known = describe(
            fitted,
            data,
            predicted["predictions"].load(),
            averages=average,
            exciting=exciting,
            clusters=clusters,
        )
    write_netcdf(known, output)


if __name__ == "__main__":
    with logged(snakemake.log[0]):
        main(
            dataset=snakemake.input.dataset,
            fits=snakemake.input.fits[0],
            selection=snakemake.input.selection,
            scores=snakemake.input.scores,
            predictions=snakemake.input.predictions,
            averages=list(snakemake.input.averages),
            images=list(snakemake.input.images),
            barcodes=list(snakemake.input.barcodes),
            output=snakemake.output.neurons,
        )
