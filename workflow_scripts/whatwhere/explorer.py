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
<b style="font-size:20px">Explorer</b> &nbsp; Every neuron is a row and a point. Click a row or a point,
or drag a box in a map, to select neurons everywhere; with Shift the selection grows. Click a heading to sort.
A color is a cell type where types are known, otherwise a cluster of barcodes.
"""
_TERMS = """
<b>mask on average</b>: where the model looks (orange), on the mean of the images weighted by the neuron's
responses (gray).<br>
<b>exciting image</b>: the image, or clip of a movie, with the largest predicted response.<br>
<b>confirmed</b>: share of that response that a fit with another random seed predicts, too; at 1 both fits
agree.<br>
<b>course in time</b>: change of the response to the exciting clip with a pixel of its frames.<br>
<b>barcode</b>: the neuron's weights of the shared features, blue negative, red positive.<br>
<b>correlation</b>: of predicted and measured responses to test images, averaged over repeats.<br>
<b>ceiling</b>: the highest correlation that noise allows.<br>
<b>other model</b>: correlation of the model that is compared.<br>
<b>FEVE</b>: fraction of the explainable variance that is explained.
"""
_PICTURE = (
    '<% if (value) { %><img src="data:image/png;base64,<%= value %>" '
    'style="height:HEIGHT;width:WIDTH;image-rendering:pixelated"/><% } %>'
)
_RANDOM = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Views = dict[tuple[str, str], pd.DataFrame]
"""By dataset and model, as the page names them: a table of :func:`whatwhere.explorer_views.view`."""


def _source(table: pd.DataFrame) -> ColumnDataSource:
    columns: dict[str, Any] = {name: table[name].tolist() for name in (*TEXTS, *LISTS)}
    # Six digits are more than a screen shows, and lists of numbers are smaller than arrays of bytes.
    columns |= {name: [_digits(value) for value in table[name]] for name in NUMBERS}
    return ColumnDataSource(columns)


def _digits(value: float) -> float:
    return float(f"{value:.5g}") if np.isfinite(value) else np.nan


def _figure(title: str, axes: tuple[str, str], tools: str, **size: Any) -> Any:
    plot = figure(
        title=title,
        name=title,
        tools=tools,
        x_axis_label=axes[0],
        y_axis_label=axes[1],
        toolbar_location="above",
        output_backend="canvas",
        **size,
    )
    plot.toolbar.logo = None
    return plot


def _map(
    source: ColumnDataSource, shown: CDSView, title: str, axes: tuple[str, str], names: tuple[str, str]
) -> Any:
    tools = "tap,box_select,lasso_select,pan,wheel_zoom,reset"
    plot = _figure(title, axes, tools, active_drag="box_select", height=260, sizing_mode="stretch_width")
    style = {"size": 7, "color": "color", "line_color": None, "alpha": 0.75, "nonselection_alpha": 0.12}
    plot.scatter(*names, source=source, view=shown, **style)
    return plot


def _columns() -> list[TableColumn]:
    two = NumberFormatter(format="0.00", nan_format="")
    one = NumberFormatter(format="0.0", nan_format="")
    picture = HTMLTemplateFormatter(template=_PICTURE.replace("HEIGHT", "46px").replace("WIDTH", "auto"))
    strip = HTMLTemplateFormatter(template=_PICTURE.replace("HEIGHT", "22px").replace("WIDTH", "110px"))
    described = [
        ("neuron_id", "neuron", 75, None),
        ("look", "mask on average", 125, picture),
        ("want", "exciting image", 115, picture),
        ("code", "barcode", 120, strip),
        ("type", "cell type", 65, None),
        ("cluster", "cluster", 60, None),
        ("correlation", "correlation", 80, two),
        ("ceiling", "ceiling", 60, two),
        ("other", "other model", 90, two),
        ("feve", "FEVE", 55, two),
        ("confirmed", "confirmed", 80, two),
        ("row", "y, px", 50, one),
        ("column", "x, px", 50, one),
    ]
    return [
        TableColumn(field=field, title=title, width=width, **({"formatter": formatter} if formatter else {}))
        for field, title, width, formatter in described
    ]


def _controls(datasets: list[str], first: str) -> dict[str, Any]:
    """Controls by name; models, types and clusters are filled in when the page opens."""
    wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
    return {
        "dataset": Select(title="dataset", value=first, options=datasets, **wide),
        "model": Select(title="model", **wide),
        "other": Select(title="compared with", **wide),
        "range": RangeSlider(title="correlation", start=-1, end=1, value=(-1, 1), step=0.01, width=160),
        "name": TextInput(title="neuron", placeholder="part of its name", width=130),
        "types": MultiChoice(title="cell types (all if none is selected)", **wide),
        "clusters": MultiChoice(title="clusters (all if none is selected)", **wide),
        "every": Button(label="select all shown", width=120),
        "none": Button(label="clear", width=60),
        "export": Button(label="export selection as CSV", width=170, button_type="primary"),
    }


def _maps(source: ColumnDataSource, shown: CDSView) -> dict[str, Any]:
    """Maps by the column that a model must know for the map to be shown."""
    maps = {
        "row": _map(source, shown, "visual field", ("x, px", "y, px"), ("column", "row")),
        "first": _map(
            source, shown, "barcodes", ("first component", "second component"), ("first", "second")
        ),
        "ceiling": _map(
            source, shown, "noise ceiling", ("ceiling", "correlation"), ("ceiling", "correlation")
        ),
        "other": _map(source, shown, "two models", ("", ""), ("other", "correlation")),
    }
    maps["row"].y_range.flipped = True
    for square in (maps["ceiling"], maps["other"]):
        square.line([0, 1], [0, 1], color="#888888", line_dash="dashed")
    return maps


def _in_time(tools: str) -> tuple[Any, Any]:
    """Responses to consecutive bins of a movie, and the course of a neuron's weights over lags."""
    responses = _figure("test bins", ("time, s", "response, mean of repeats"), tools, width=310, height=200)
    for name, color in (("measured", "#8c8c8c"), ("predicted", plotting.PALETTE[0])):
        source = ColumnDataSource({"x": [], "y": []})
        responses.line("x", "y", source=source, color=color, legend_label=name, name=name)
    responses.legend.label_text_font_size = "9px"
    responses.legend.padding, responses.legend.background_fill_alpha = 2, 0.5
    course = _figure("course in time", ("lag, ms", "weight"), tools, width=310, height=200)
    source = ColumnDataSource({"x": [], "y": []})
    course.line("x", "y", source=source, color=plotting.PALETTE[0], line_width=2, name="weights")
    course.x_range.flipped = True
    return responses, course


def _opening(views: Views) -> str:
    """The dataset that the page opens with: the first whose noise ceilings are known, or the first."""
    with_ceilings = (dataset for (dataset, _), table in views.items() if table["ceiling"].notna().any())
    return next(with_ceilings, next(iter(views))[0])


def page(views: Views) -> Document:
    """The explorer as a Bokeh document, which takes the width of its window or frame."""
    keys = list(views)
    stores = [_source(views[key]) for key in keys]
    # What is shown is a copy of a store, made when the page opens.
    source = ColumnDataSource({name: [] for name in (*TEXTS, *NUMBERS, *LISTS, "other")})
    points = ColumnDataSource({"measured": [], "predicted": []})
    kept = IndexFilter(indices=[])
    shown = CDSView(filter=kept)
    datasets = list(dict.fromkeys(dataset for dataset, _ in keys))
    controls = _controls(datasets, _opening(views))
    wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
    detail, count = Div(width=310, name="detail"), Div(width=360, name="count")
    notice = Div(name="notice", **wide)
    table = DataTable(
        source=source,
        view=shown,
        columns=_columns(),
        row_height=50,
        height=520,
        index_position=None,
        reorderable=False,
        stylesheets=[
            ".slick-cell { display: flex; align-items: center; } .slick-header-column { font-size: 12px; }"
        ],
        name="table",
        **wide,
    )
    axes = ("predicted", "measured, mean of repeats")
    tools = "pan,wheel_zoom,reset"
    plot = _figure("test images", axes, tools, width=310, height=260)
    style = {"size": 5, "alpha": 0.6, "color": plotting.PALETTE[0], "name": "points"}
    plot.scatter("predicted", "measured", source=points, **style)
    in_time, course = _in_time(tools)
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
        "notice": notice,
        "table": table,
        "plot": plot,
        "in_time": in_time,
        "course": course,
        "maps": maps,
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
    names = ("dataset", "model", "other", "range", "name")
    buttons = row(*(controls[name] for name in ("every", "none", "export")))
    document.add_root(
        column(
            Div(text=_INTRODUCTION, **wide),
            row(*(controls[name] for name in names), **wide),
            row(controls["types"], controls["clusters"], column(count, buttons), **wide),
            notice,
            row(*maps.values(), **wide),
            row(table, column(detail, plot, in_time, course, Div(text=_TERMS, width=310)), **wide),
            **wide,
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
