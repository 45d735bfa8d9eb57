"""The explorer: every neuron of a run as a row and a point, in one HTML file that opens offline."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bokeh.document import Document
from bokeh.embed import file_html
from bokeh.events import DocumentReady
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
)
from bokeh.plotting import figure
from bokeh.resources import INLINE

from whatwhere import plotting
from whatwhere.explorer_views import LISTS, NUMBERS, TEXTS
from whatwhere.files import atomic

SCRIPT = Path(__file__).parent / "explorer.js"
"""The code that runs in the browser when a user selects something."""

_INTRODUCTION = """
<b style="font-size:20px">Explorer</b> &nbsp; Every neuron is a row and a point. Click one, or draw a box in a
map, to select it everywhere; with Shift the selection grows. A click on a heading sorts. Colors are cell
types where they are known, clusters of barcodes otherwise. <i>confirmed</i>: share of the response to the
exciting image that a fit of another seed predicts. <i>ceiling</i>: highest correlation that noise allows.
"""
_PICTURE = (
    '<% if (value) { %><img src="data:image/png;base64,<%= value %>" '
    'style="height:HEIGHT;width:WIDTH;image-rendering:pixelated"/><% } %>'
)
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Views = dict[tuple[str, str], pd.DataFrame]
"""By dataset and model: a table of :func:`whatwhere.explorer_views.view`."""


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
        name=title,
        tools="tap,box_select,lasso_select,pan,wheel_zoom,reset",
        active_drag="box_select",
        x_axis_label=axes[0],
        y_axis_label=axes[1],
        output_backend="canvas",
    )
    style = {"size": 7, "color": "color", "line_color": None, "alpha": 0.75, "nonselection_alpha": 0.12}
    plot.scatter(*names, source=source, view=shown, **style)
    return plot


def _columns() -> list[TableColumn]:
    two = NumberFormatter(format="0.00", nan_format="")
    one = NumberFormatter(format="0.0", nan_format="")
    picture = HTMLTemplateFormatter(template=_PICTURE.replace("HEIGHT", "46px").replace("WIDTH", "auto"))
    strip = HTMLTemplateFormatter(template=_PICTURE.replace("HEIGHT", "22px").replace("WIDTH", "110px"))
    described = [
        ("neuron_id", "neuron", 70, None),
        ("look", "mask on average", 120, picture),
        ("want", "exciting image", 105, picture),
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


def _controls(datasets: list[str]) -> dict[str, Any]:
    """Controls by name; models, types and clusters are filled in when the page opens."""
    return {
        "dataset": Select(title="dataset", value=datasets[0], options=datasets, width=180),
        "model": Select(title="model", width=230),
        "other": Select(title="compared with", width=230),
        "range": RangeSlider(title="correlation", start=-1, end=1, value=(-1, 1), step=0.01, width=170),
        "name": TextInput(title="neuron", placeholder="name or part of it", width=130),
        "types": MultiChoice(title="cell types (all if none is selected)", width=230),
        "clusters": MultiChoice(title="clusters", width=230),
        "every": Button(label="select all shown", width=120),
        "none": Button(label="clear", width=60),
        "export": Button(label="export selection as CSV", width=170, button_type="primary"),
    }


def _maps(source: ColumnDataSource, shown: CDSView) -> list[Any]:
    maps = [
        _plot(source, shown, "visual field", ("x, px", "y, px"), ("column", "row")),
        _plot(source, shown, "barcodes", ("first component", "second component"), ("first", "second")),
        _plot(source, shown, "noise ceiling", ("ceiling", "correlation"), ("ceiling", "correlation")),
        _plot(source, shown, "two models", ("compared", "correlation"), ("other", "correlation")),
    ]
    maps[0].y_range.flipped = True
    for square in maps[2:]:
        square.line([0, 1], [0, 1], color="#888888", line_dash="dashed")
    return maps


def page(views: Views) -> Document:
    """The explorer as a Bokeh document."""
    keys = list(views)
    stores = [_source(views[key]) for key in keys]
    # What is shown is a copy of a store, made when the page opens.
    source = ColumnDataSource({name: [] for name in (*TEXTS, *NUMBERS, *LISTS, "other")})
    points = ColumnDataSource({name: [] for name in LISTS})
    kept = IndexFilter(indices=[])
    shown = CDSView(filter=kept)
    datasets = list(dict.fromkeys(dataset for dataset, _ in keys))
    controls = _controls(datasets)
    detail, count = Div(width=310, name="detail"), Div(width=300, name="count")
    table = DataTable(
        source=source,
        view=shown,
        columns=_columns(),
        row_height=50,
        width=1005,
        height=520,
        index_position=None,
        reorderable=False,
        stylesheets=[".slick-cell { display: flex; align-items: center; }"],
        name="table",
    )
    plot = figure(width=300, height=260, title="test images", tools="pan,wheel_zoom,reset")
    plot.xaxis.axis_label, plot.yaxis.axis_label = "predicted", "measured, mean of repeats"
    style = {"size": 5, "alpha": 0.6, "color": plotting.PALETTE[0], "name": "points"}
    plot.scatter("predicted", "measured", source=points, **style)
    maps = _maps(source, shown)
    arguments: dict[str, Any] = {
        "source": source,
        "stores": stores,
        "keys": [list(key) for key in keys],
        "models_of": {name: [model for dataset, model in keys if dataset == name] for name in datasets},
        "kept": kept,
        "points": points,
        "detail": detail,
        "count": count,
        "ceiling_title": maps[2].title,
        "controls": controls,
    }

    def run(action: str) -> CustomJS:
        return CustomJS(args=arguments, code=f"{SCRIPT.read_text(encoding='utf-8')}\n{action}")

    controls["dataset"].js_on_change("value", run("change_dataset()"))
    for name in ("model", "other"):
        controls[name].js_on_change("value", run("change_model()"))
    for name in ("range", "name", "types", "clusters"):
        controls[name].js_on_change("value", run("filter()"))
    source.selected.js_on_change("indices", run("show_selected()"))
    controls["every"].js_on_click(run("source.selected.indices = kept.indices"))
    controls["none"].js_on_click(run("source.selected.indices = []"))
    controls["export"].js_on_click(run("export_selection()"))
    for name, control in controls.items():
        control.name = name
    document = Document()
    document.add_root(
        column(
            Div(text=_INTRODUCTION, width=1300),
            row(*(controls[name] for name in ("dataset", "model", "other", "range", "name"))),
            row(
                *(controls[name] for name in ("types", "clusters")),
                column(count, row(*(controls[name] for name in ("every", "none", "export")))),
            ),
            row(*maps),
            row(table, column(detail, plot)),
        )
    )
    document.js_on_event(DocumentReady, run("change_dataset()"))
    return document


def write(views: Views, title: str, path: str | Path) -> None:
    """Writes the explorer as one HTML file with everything in it; equal views give equal bytes."""
    html = file_html(page(views), INLINE, title)
    for number, identifier in enumerate(dict.fromkeys(_RANDOM.findall(html))):
        html = html.replace(identifier, f"whatwhere-{number}")
    with atomic(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
