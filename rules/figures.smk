# Parameters of all figures, of which a script takes those that it names: labels, and the models of the paper.
NAMES = {"labels": LABELS, "datasets": DATASET_LABELS, "paper": PAPER}
OF_FITTED = {
    "model": lambda wildcards: LABELS[wildcards.model],
    "dataset": lambda wildcards: DATASET_LABELS[wildcards.dataset],
}

# The condition of a recording whose fit is shown.
DRAWN = "dataset == '{dataset}' and drawn and last"
OF_MODEL = "{experiment}/{dataset}/{model}"

# Figures by the name of rule and script: category and name in the report, inputs, parameters, and the wildcards of
# figures of a recording or of a fit.
FIGURES = {
    "plot_fig1": {
        "title": ("Figure 1", "the model"),
        "input": files_by_kind("example", "parameters", within=EXAMPLES[:1]),
    },
    "plot_fig2": {
        "title": ("Figure 2", "sharing features"),
        "input": files_by_kind("figure == 'fig2'", "scores"),
        "params": {"shared": list(FITS.query("figure == 'fig2' and shares_filter").model.unique())},
    },
    "plot_fig3": {
        "title": ("Figure 3", "models over data sizes"),
        "input": files_by_kind("figure == 'fig3'", "scores", "parameters", "locations")
        | {"reference": f"{REFERENCE}/fig3.csv"},
        "params": {"known": list(FITS.query("figure == 'fig3' and known_field and masks").model.unique())},
    },
    "plot_fig4": {
        "title": ("Figure 4", "two cell types"),
        "input": files_by_kind(
            "figure == 'fig4'", *("parameters", "scores", "barcodes", "barcode_scores"), within=EXAMPLES
        )
        | {"reference": f"{REFERENCE}/fig4.csv"},
    },
    "plot_fig5": {
        "title": ("Figure 5", "nonlinear feature spaces"),
        "input": files_by_kind("figure == 'fig5'", "scores", "barcodes", "barcode_scores")
        | {"reference": f"{REFERENCE}/fig5.csv"},
    },
    "plot_table1": {
        "title": ("Table 1", "mouse V1"),
        "input": {"table": "<results>/tables/table1.csv"},
        "params": {"simulated": SIMULATIONS},
    },
    "plot_scaling": {
        "title": ("Data scaling", "neurons against images"),
        "input": {
            "scaling": "<results>/tables/scaling.csv",
            "rates": "<results>/tables/exchange_rates.csv",
            "data": collect("<results>/data/{dataset}.nc", dataset=FITS.query("scaling").dataset.unique()),
        },
    },
    "plot_data_efficiency": {
        "title": ("Data efficiency", "inference against training"),
        "input": {"table": "<results>/tables/data_efficiency.csv", "reference": PAPER_CURVES},
    },
    "plot_transfer": {
        "title": ("Transfer", "gains from other recordings"),
        "input": {"table": "<results>/tables/transfer.csv"},
    },
    "plot_recording": {
        "title": ("Recordings", "{wildcards.dataset}"),
        "each": "{dataset}",
        "input": {
            "dataset": "<results>/data/{dataset}.nc",
            "averages": of_fits("sta/{fit.sta}.nc", DRAWN, CONDITIONS),
            "fits": of_fits("fits/{fit.condition_path}/fits.pt", DRAWN, CONDITIONS),
            "selection": of_fits("selection/{fit.path}.csv", DRAWN, CONDITIONS),
        }
        | files_by_kind("dataset == '{dataset}' and recording", "scores", "predictions"),
        "params": {
            "label": lambda wildcards: DATASET_LABELS[wildcards.dataset],
            "models": lookup("dataset == '{dataset}' and drawn", within=FITS, cols="model"),
            "conditions": lookup(DRAWN, within=CONDITIONS, cols="condition"),
        },
    },
    "plot_barcodes": {
        "title": ("Barcodes", "{wildcards.model} on {wildcards.dataset}"),
        "each": OF_MODEL,
        "input": {
            "barcodes": f"<results>/barcodes/{OF_MODEL}.csv",
            "scores": f"<results>/barcodes/{OF_MODEL}_scores.csv",
            "fields": f"<results>/barcodes/{OF_MODEL}_fields.nc",
        },
        "params": OF_FITTED,
    },
    "plot_most_exciting": {
        "title": ("Most exciting images", "{wildcards.model} on {wildcards.dataset}"),
        "each": OF_MODEL,
        "input": {"neurons": f"<results>/neurons/{OF_MODEL}.nc"},
        "params": OF_FITTED,
    },
}

# Figures in the table of jobs of a run.
DRAWN_BY = {}
for name, one in FIGURES.items():
    figure = name.removeprefix("plot_")
    path = f"{figure}/{one['each']}" if "each" in one else figure
    category, label = one["title"]
    picture = report(
        f"<results>/figures/{path}.svg",
        caption=f"captions/{figure}.rst",
        category=category,
        labels=labels_of if "each" in one else {"figure": label},
    )
    DRAWN_BY[name] = {
        "input": one["input"],
        "files": {"svg": picture, "png": f"<results>/figures/{path}.png"},
        "path": f"plot_{path}",
        "datasets": FITS.dataset[FITS.recording] if figure == "recording" else DATASETS,
        "priority": by_experiment if "each" in one else FIRST,
        "params": NAMES | one.get("params", {}),
        "message": f"Draw {category}: {label}",
    }
