"""Figure 2: neurons with the same receptive field, fitted alone, one by one, and jointly."""

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from whatwhere import plotting
from whatwhere.conditions import over_seeds
from whatwhere.files import read_tables


def main(scores: list[str], shared: list[str], labels: dict[str, str]) -> Figure:
    """Draws the figure; ``shared`` are the models whose neurons share a filter."""
    table = read_tables(scores)
    figure, ax = plt.subplots(figsize=(plotting.COLUMN, 3.3))
    for index, ((model, n_neurons), rows) in enumerate(table.groupby(["model", "n_neurons"], sort=False)):
        fitted = "fitted jointly" if model in shared else "fitted one by one"
        name = "one neuron" if n_neurons == 1 else f"{n_neurons} neurons, {fitted}"
        curve = over_seeds(rows, ["feve"], ["n_images"], least=0)
        plotting.draw_curve(ax, curve, index, name)
        if model in shared:
            name = f"jointly, against {n_neurons} times the images"
            style = {"color": plotting.REFERENCE, "linestyle": plotting.DOTTED, "linewidth": 1, "zorder": 0}
            ax.plot(curve.n_images * n_neurons, curve.feve, label=name, **style)
    plotting.image_axis(ax, table.n_images)
    ax.set(ylabel="FEVE", ylim=(-0.02, 1.02))
    plotting.legend_below(ax, 1, paper=False)
    named = plotting.labeled(table, labels)
    return plotting.noted(figure, plotting.clipped(named), plotting.remark(named))


if __name__ == "__main__":
    plotting.draw_job(main, snakemake)
