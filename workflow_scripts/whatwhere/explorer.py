"""The explorer: every neuron of a run as a row and a point, in one HTML file that opens offline."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from bokeh.embed import file_html
from bokeh.layouts import column, row
from bokeh.models import (
    Button,
    CDSView,
    ColumnDataSource,
    CustomJS,
    DataTable,
    Div,
    HTMLTemplateFormatter,
    IndexFilter,
    MultiChoice,
    NumberFormatter,
    RangeSlider,
    Select,
    TableColumn,
    TextInput,
    UIElement,
)
from bokeh.plotting import figure
from bokeh.resources import INLINE
from sklearn.decomposition import PCA

from whatwhere import plotting, thumbnails
from whatwhere.files import atomic

_SCRIPT = (Path(__file__).parent / "explorer.js").read_text(encoding="utf-8")

TEXTS = ("neuron_id", "type", "cluster", "look", "want", "code", "color")
NUMBERS = ("neuron", "correlation", "ceiling", "feve", "confirmed", "row", "column", "first", "second")
LISTS = ("measured", "predicted")
"""Columns of a view: words and pictures, numbers, and the responses to test images."""

_PICTURE = (
    '<% if (value) { %><img src="data:image/png;base64,<%= value %>" '
    'style="height:HEIGHT;width:WIDTH;image-rendering:pixelated"/><% } %>'
)


def view(neurons: xr.Dataset) -> pd.DataFrame:
    """What the explorer shows of one model.

    Parameters
    ----------
    neurons
        Of :func:`whatwhere.neurons.describe`.

    Returns
    -------
    One row per neuron with the columns :data:`TEXTS`, :data:`NUMBERS` and :data:`LISTS`; what is not known is
    an empty text or NaN. ``first`` and ``second`` are the principal components of the barcodes.
    """
    n_neurons = neurons.sizes["neuron"]
    table = pd.DataFrame(index=range(n_neurons), columns=[*TEXTS], data="", dtype=object)
    table["neuron"] = neurons["neuron"].values
    table["neuron_id"] = neurons["neuron_id"].values.astype(str)
    names = {name: name for name in ("correlation", "feve", "confirmed", "row", "column")}
    for column_name, variable in (names | {"ceiling": "cc_max"}).items():
        table[column_name] = neurons[variable].values.astype(float) if variable in neurons else np.nan
    for column_name, variable in (("type", "cell_type"), ("cluster", "cluster")):
        if variable in neurons:
            table[column_name] = [f"{value + 1}" for value in neurons[variable].values]
    table["first"], table["second"] = _map_of_barcodes(neurons).T
    for name in LISTS:
        table[name] = [[float(f"{value:.3g}") for value in values] for values in neurons[name].values]
    if "mask" in neurons and "average" in neurons:
        pairs = zip(neurons["mask"].values, neurons["average"].values, strict=True)
        table["look"] = [thumbnails.mask_on_average(*pair) for pair in pairs]
    if "image" in neurons:
        table["want"] = [thumbnails.picture(image) for image in neurons["image"].values]
    if "barcode" in neurons:
        table["code"] = [thumbnails.barcode(weights) for weights in neurons["barcode"].values]
    groups = table["type"] if "cell_type" in neurons else table["cluster"]
    table["color"] = [
        plotting.LINE_COLORS[int(group or 1) % len(plotting.LINE_COLORS) - 1] for group in groups
    ]
    return table


def _map_of_barcodes(neurons: xr.Dataset) -> np.ndarray:
    """First two principal components of the barcodes, (neuron, 2)."""
    n_neurons = neurons.sizes["neuron"]
    places = np.full((n_neurons, 2), np.nan)
    if "barcode" in neurons and min(neurons["barcode"].shape) > 1:
        places[:] = PCA(2, svd_solver="full").fit_transform(neurons["barcode"].values)
    return places


def _source(table: pd.DataFrame) -> ColumnDataSource:
    columns: dict[str, Any] = {name: table[name].tolist() for name in (*TEXTS, *LISTS)}
    # Six digits are more than a screen shows, and lists of numbers are smaller than arrays of bytes.
    columns |= {name: [_digits(value) for value in table[name]] for name in NUMBERS}
    return ColumnDataSource(columns)


def _digits(value: float) -> float:
    return float(f"{value:.5g}") if np.isfinite(value) else np.nan


def _plot(
    source: ColumnDataSource, shown: CDSView, title: str, axes: tuple[str, str], names: tuple[str, str]
) -> Any:
    plot = figure(
        width=300,
        height=285,
        title=title,
        tools="tap,box_select,lasso_select,pan,wheel_zoom,reset",
        active_drag="box_select",
        x_axis_label=axes[0],
        y_axis_label=axes[1],
        output_backend="canvas",
    )
    plot.scatter(
        *names,
        source=source,
        view=shown,
        size=7,
        color="color",
        line_color=None,
        alpha=0.75,
        nonselection_alpha=0.12,
    )
    return plot


def _columns() -> list[TableColumn]:
    two = NumberFormatter(format="0.00", nan_format="")
    one = NumberFormatter(format="0.0", nan_format="")
    picture = HTMLTemplateFormatter(template=_PICTURE.replace("HEIGHT", "46px").replace("WIDTH", "auto"))
    strip = HTMLTemplateFormatter(template=_PICTURE.replace("HEIGHT", "22px").replace("WIDTH", "110px"))
    described = [
        ("neuron_id", "neuron", 70, None),
        ("look", "where: mask on average", 90, picture),
        ("want", "what: exciting image", 90, picture),
        ("code", "barcode", 120, strip),
        ("type", "cell type", 60, None),
        ("cluster", "cluster", 55, None),
        ("correlation", "correlation", 75, two),
        ("ceiling", "ceiling", 60, two),
        ("other", "compared", 70, two),
        ("feve", "FEVE", 55, two),
        ("confirmed", "confirmed", 70, two),
        ("row", "y, px", 50, one),
        ("column", "x, px", 50, one),
    ]
    return [
        TableColumn(field=field, title=title, width=width, **({"formatter": formatter} if formatter else {}))
        for field, title, width, formatter in described
    ]


def layout(views: dict[tuple[str, str], pd.DataFrame]) -> UIElement:
    """The page as a Bokeh layout.

    Parameters
    ----------
    views
        By dataset and model: a table of :func:`view`. The first with pictures is shown first.
    """
    keys = list(views)
    start = next((key for key in keys if (views[key]["code"] != "").any()), keys[0])
    stores = [_source(views[key]) for key in keys]
    source = ColumnDataSource(dict(stores[keys.index(start)].data) | {"other": [np.nan] * len(views[start])})
    points = ColumnDataSource({"measured": [], "predicted": []})
    kept = IndexFilter(indices=list(range(len(views[start]))))
    shown = CDSView(filter=kept)
    datasets = list(dict.fromkeys(dataset for dataset, _ in keys))
    models = [model for dataset, model in keys if dataset == start[0]]
    other = next((model for model in models if model != start[1]), start[1])
    controls = {
        "dataset": Select(title="dataset", value=start[0], options=datasets, width=180, name="dataset"),
        "model": Select(title="model", value=start[1], options=models, width=230, name="model"),
        "other": Select(title="compared with", value=other, options=models, width=230, name="other"),
        "types": MultiChoice(title="cell types (all if none is chosen)", width=200, name="types"),
        "clusters": MultiChoice(title="clusters", width=180, name="clusters"),
        "range": RangeSlider(title="correlation", start=-1, end=1, value=(-1, 1), step=0.01, width=170),
        "name": TextInput(title="neuron", placeholder="name or part of it", width=120, name="name"),
    }
    every = Button(label="select all shown", width=120, name="all")
    none = Button(label="clear", width=60, name="none")
    export = Button(label="export selection as CSV", width=170, button_type="primary", name="export")
    table = DataTable(
        source=source,
        view=shown,
        columns=_columns(),
        row_height=50,
        width=960,
        height=520,
        index_position=None,
        sizing_mode="fixed",
        name="table",
    )
    detail = Div(width=310, text="Click a row or a point.", name="detail")
    count = Div(width=300, name="count")
    plot = figure(width=300, height=260, title="test images", tools="pan,wheel_zoom,reset")
    plot.xaxis.axis_label, plot.yaxis.axis_label = "predicted", "measured, mean of repeats"
    plot.scatter("predicted", "measured", source=points, size=5, alpha=0.6, color=plotting.PALETTE[0])
    maps = [
        _plot(source, shown, "visual field", ("x, px", "y, px"), ("column", "row")),
        _plot(source, shown, "barcodes", ("first component", "second component"), ("first", "second")),
        _plot(
            source, shown, "noise ceiling", ("highest correlation", "correlation"), ("ceiling", "correlation")
        ),
        _plot(source, shown, "two models", ("compared", "correlation"), ("other", "correlation")),
    ]
    maps[0].y_range.flipped = True
    for square in maps[2:]:
        square.line([0, 1], [0, 1], color="#888888", line_dash="dashed")
    models_of = {name: [model for dataset, model in keys if dataset == name] for name in datasets}
    arguments: dict[str, Any] = {
        "source": source,
        "stores": stores,
        "keys": [list(key) for key in keys],
        "models_of": models_of,
        "kept": kept,
        "points": points,
        "detail": detail,
        "count": count,
        **{f"{name}_choice": control for name, control in controls.items()},
    }

    def run(action: str) -> CustomJS:
        return CustomJS(args=arguments, code=f"{_SCRIPT}\n{action}")

    controls["dataset"].js_on_change("value", run("change_dataset()"))
    for name in ("model", "other"):
        controls[name].js_on_change("value", run("change_model()"))
    for name in ("types", "clusters", "range", "name"):
        controls[name].js_on_change("value", run("filter()"))
    source.selected.js_on_change("indices", run("show_selected()"))
    every.js_on_click(run("source.selected.indices = kept.indices"))
    none.js_on_click(run("source.selected.indices = []"))
    export.js_on_click(run("export_selection()"))
    choices = [*controls.values()]
    return column(
        Div(text=_INTRODUCTION, width=1300),
        row(*choices[:3], choices[5], choices[6]),
        row(*choices[3:5], column(count, row(every, none, export))),
        row(*maps),
        row(table, column(detail, plot)),
        name="explorer",
    )


_INTRODUCTION = """
<b style="font-size:20px">Explorer</b> &nbsp; Every neuron is a row and a point. Click one, or draw a box in a
map, to select it everywhere; with Shift the selection grows. A click on a heading sorts. Colours are cell
types where they are known, clusters of barcodes else. <i>confirmed</i>: share of the response to the exciting
image that a fit of another seed predicts. <i>ceiling</i>: highest correlation that noise allows.
"""

_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def write(views: dict[tuple[str, str], pd.DataFrame], title: str, path: str | Path) -> None:
    """Write the explorer as one HTML file with everything in it; equal views give equal bytes."""
    html = file_html(layout(views), INLINE, title)
    for number, identifier in enumerate(dict.fromkeys(_RANDOM.findall(html))):
        html = html.replace(identifier, f"whatwhere-{number}")
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
