# Parameters of figures that name models, and datasets.
OF_MODELS = {"labels": LABELS}
OF_DATASETS = OF_MODELS | {"datasets": DATASET_LABELS}

# Figures of a whole run, by the name of rule and script: category and name in the report, inputs, parameters.
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
}

for name, one in FIGURES.items():
    figure = name.removeprefix("plot_")
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
                f"<results>/figures/{figure}.svg",
                caption=f"captions/{figure}.rst",
                category=category,
                labels={"figure": label},
            ),
            png=f"<results>/figures/{figure}.png",
        log:
            f"<logs>/{name}.log",
        benchmark:
            f"<benchmarks>/{name}.tsv"
        priority: FIRST
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


# The condition of a recording whose fit is shown.
DRAWN = "dataset == '{dataset}' and drawn and last"


rule plot_recording:
    input:
        dataset="<results>/data/{dataset}.nc",
        averages=of_fits("sta/{fit.sta}.nc", DRAWN, CONDITIONS),
        fits=of_fits("fits/{fit.condition_path}/fits.pt", DRAWN, CONDITIONS),
        selection=of_fits("selection/{fit.path}.csv", DRAWN, CONDITIONS),
        scores=of_fits("scores/{fit.path}.csv", "dataset == '{dataset}' and recording"),
        predictions=of_fits(
            "predictions/{fit.path}.nc", "dataset == '{dataset}' and recording"
        ),
    output:
        svg=report(
            "<results>/figures/recording_{dataset}.svg",
            caption="captions/recording.rst",
            category="Recordings",
            labels=of_dataset,
        ),
        png="<results>/figures/recording_{dataset}.png",
    log:
        "<logs>/plot_recording/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_recording/{dataset}.tsv"
    wildcard_constraints:
        dataset=any_of(RECORDINGS),
    priority: by_experiment
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        models=lookup("dataset == '{dataset}' and drawn", within=FITS, cols="model"),
        conditions=lookup(DRAWN, within=CONDITIONS, cols="condition"),
        labels=LABELS,
        code=code_of("plot_recording"),
    message:
        "Draw the recording {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_recording.py"


rule plot_barcodes:
    input:
        barcodes="<results>/barcodes/{experiment}/{dataset}/{model}.csv",
        scores="<results>/barcodes/{experiment}/{dataset}/{model}_scores.csv",
        fields="<results>/barcodes/{experiment}/{dataset}/{model}_fields.nc",
    output:
        svg=report(
            "<results>/figures/barcodes/{experiment}/{dataset}/{model}.svg",
            caption="captions/barcodes.rst",
            category="Barcodes",
            labels=of_model,
        ),
        png="<results>/figures/barcodes/{experiment}/{dataset}/{model}.png",
    log:
        "<logs>/plot_barcodes/{experiment}/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/plot_barcodes/{experiment}/{dataset}/{model}.tsv"
    priority: by_experiment
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        model=lambda wildcards: LABELS[wildcards.model],
        dataset=lambda wildcards: DATASET_LABELS[wildcards.dataset],
        code=code_of("plot_barcodes"),
    message:
        "Draw the barcodes of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_barcodes.py"
