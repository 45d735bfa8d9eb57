# Parameters of figures that name models, and datasets.
OF_MODELS = {"labels": LABELS}
OF_DATASETS = OF_MODELS | {"datasets": DATASET_LABELS}
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
        "params": {},
    },
    "plot_fig2": {
        "title": ("Figure 2", "sharing features"),
        "input": files_by_kind("figure == 'fig2'", "scores"),
        "params": OF_MODELS
        | {
            "shared": list(
                FITS.query("figure == 'fig2' and shares_filter").model.unique()
            ),
        },
    },
    "plot_fig3": {
        "title": ("Figure 3", "models over data sizes"),
        "input": files_by_kind("figure == 'fig3'", "scores", "parameters", "locations")
        | {"reference": f"{REFERENCE}/fig3.csv"},
        "params": OF_MODELS
        | {
            "paper": PAPER,
            "known": list(
                FITS.query("figure == 'fig3' and known_field and masks").model.unique()
            ),
        },
    },
    "plot_fig4": {
        "title": ("Figure 4", "two cell types"),
        "input": files_by_kind(
            "figure == 'fig4'",
            *("parameters", "scores", "barcodes", "barcode_scores"),
            within=EXAMPLES,
        )
        | {"reference": f"{REFERENCE}/fig4.csv"},
        "params": OF_MODELS,
    },
    "plot_fig5": {
        "title": ("Figure 5", "nonlinear feature spaces"),
        "input": files_by_kind(
            "figure == 'fig5'", "scores", "barcodes", "barcode_scores"
        )
        | {"reference": f"{REFERENCE}/fig5.csv"},
        "params": OF_MODELS | {"paper": PAPER},
    },
    "plot_table1": {
        "title": ("Table 1", "mouse V1"),
        "input": {"table": "<results>/tables/table1.csv"},
        "params": OF_DATASETS | {"simulated": SIMULATIONS},
    },
    "plot_scaling": {
        "title": ("Data scaling", "neurons against images"),
        "input": {
            "scaling": "<results>/tables/scaling.csv",
            "rates": "<results>/tables/exchange_rates.csv",
            "data": collect(
                "<results>/data/{dataset}.nc",
                dataset=FITS.query("scaling").dataset.unique(),
            ),
        },
        "params": OF_DATASETS,
    },
    "plot_data_efficiency": {
        "title": ("Data efficiency", "inference against training"),
        "input": {
            "table": "<results>/tables/data_efficiency.csv",
            "reference": PAPER_CURVES,
        },
        "params": OF_DATASETS | {"paper": PAPER},
    },
    "plot_transfer": {
        "title": ("Transfer", "gains from other recordings"),
        "input": {"table": "<results>/tables/transfer.csv"},
        "params": OF_DATASETS,
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
        | files_by_kind(
            "dataset == '{dataset}' and recording", "scores", "predictions"
        ),
        "params": OF_MODELS
        | {
            "label": lambda wildcards: DATASET_LABELS[wildcards.dataset],
            "models": lookup(
                "dataset == '{dataset}' and drawn", within=FITS, cols="model"
            ),
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

for name, one in FIGURES.items():
    figure = name.removeprefix("plot_")
    path = f"{figure}/{one['each']}" if "each" in one else figure
    # A job evaluates the path of its script again, with its own params.
    params = one["params"] | {"script": name, "code": code_of(name)}
    category, label = one["title"]

    rule:
        name:
            name
        input:
            **one["input"],
        output:
            svg=report(
                f"<results>/figures/{path}.svg",
                caption=f"captions/{figure}.rst",
                category=category,
                labels=labels_of if "each" in one else {"figure": label},
            ),
            png=f"<results>/figures/{path}.png",
        log:
            f"<logs>/plot_{path}.log",
        benchmark:
            f"<benchmarks>/plot_{path}.tsv"
        wildcard_constraints:
            dataset=any_of(
                FITS.dataset[FITS.recording] if figure == "recording" else DATASETS
            ),
        priority: by_experiment if "each" in one else FIRST
        group:
            "report"
        conda:
            "../envs/whatwhere.yaml"
        params:
            **params,
        message:
            f"Draw {category}: {label}"
        script:
            f"../workflow_scripts/{params['script']}.py"
