# Figures of a whole run: name in the report, inputs and parameters, by the name of rule and script.
FIGURES = {
    "plot_fig1": {
        "category": "Figure 1",
        "label": "the model",
        "input": {
            "parameters": of_fits("parameters/{fit.path}.nc", "example", EXAMPLES[:1])
        },
    },
    "plot_fig2": {
        "category": "Figure 2",
        "label": "sharing features",
        "input": {"scores": of_fits("scores/{fit.path}.csv", "figure == 'fig2'")},
        "params": {
            "shared": list(
                FITS.query("figure == 'fig2' and shares_filter").model.unique()
            ),
            "labels": LABELS,
        },
    },
    "plot_fig3": {
        "category": "Figure 3",
        "label": "models over data sizes",
        "input": {
            "scores": of_fits("scores/{fit.path}.csv", "figure == 'fig3'"),
            "parameters": of_fits("parameters/{fit.path}.nc", "figure == 'fig3'"),
            "locations": of_fits("locations/{fit.path}.csv", "figure == 'fig3'"),
            "reference": f"{REFERENCE}/fig3.csv",
        },
        "params": {
            "labels": LABELS,
            "paper": PAPER,
            "known": list(
                FITS.query("figure == 'fig3' and known_field and masks").model.unique()
            ),
        },
    },
    "plot_fig4": {
        "category": "Figure 4",
        "label": "two cell types",
        "input": {
            name: of_fits(pattern, "figure == 'fig4'", EXAMPLES)
            for name, pattern in {
                "parameters": "parameters/{fit.path}.nc",
                "scores": "scores/{fit.path}.csv",
                "barcodes": "barcodes/{fit.path}.csv",
                "barcode_scores": "barcodes/{fit.path}_scores.csv",
            }.items()
        }
        | {"reference": f"{REFERENCE}/fig4.csv"},
        "params": {"labels": LABELS},
    },
    "plot_fig5": {
        "category": "Figure 5",
        "label": "nonlinear feature spaces",
        "input": {
            "scores": of_fits("scores/{fit.path}.csv", "figure == 'fig5'"),
            "barcodes": of_fits(
                "barcodes/{fit.path}.csv", "figure == 'fig5' and barcodes"
            ),
            "barcode_scores": of_fits(
                "barcodes/{fit.path}_scores.csv", "figure == 'fig5' and barcodes"
            ),
            "reference": f"{REFERENCE}/fig5.csv",
        },
        "params": {"labels": LABELS, "paper": PAPER},
    },
    "plot_table1": {
        "category": "Table 1",
        "label": "mouse V1",
        "input": {"table": "<results>/tables/table1.csv"},
        "params": {"labels": LABELS},
    },
    "plot_scaling": {
        "category": "Data scaling",
        "label": "neurons against images",
        "input": {
            "scaling": "<results>/tables/scaling.csv",
            "rates": "<results>/tables/exchange_rates.csv",
        },
        "params": {"labels": LABELS},
    },
    "plot_data_efficiency": {
        "category": "Data efficiency",
        "label": "inference against training",
        "input": {
            "table": "<results>/tables/data_efficiency.csv",
            "reference": PAPER_CURVES,
        },
        "params": {"labels": LABELS, "paper": PAPER},
    },
    "plot_transfer": {
        "category": "Transfer",
        "label": "what other recordings are worth",
        "input": {"table": "<results>/tables/transfer.csv"},
        "params": {"labels": LABELS},
    },
}

for name, one in FIGURES.items():
    figure = name.removeprefix("plot_")
    # A job evaluates the path of its script again, with its own params.
    params = one.get("params", {}) | {"script": name, "code": code_of(name)}

    rule:
        name:
            name
        input:
            **one["input"],
        output:
            svg=report(
                f"<results>/figures/{figure}.svg",
                caption=f"captions/{figure}.rst",
                category=one["category"],
                labels={"figure": one["label"]},
            ),
            png=f"<results>/figures/{figure}.png",
        log:
            f"<logs>/{name}.log",
        benchmark:
            f"<benchmarks>/{name}.tsv"
        group:
            "report"
        conda:
            "../envs/whatwhere.yaml"
        params:
            **params,
        message:
            f"Draw {one['category']}: {one['label']}"
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
            labels={"dataset": "{dataset}"},
        ),
        png="<results>/figures/recording_{dataset}.png",
    log:
        "<logs>/plot_recording/{dataset}.log",
    benchmark:
        "<benchmarks>/plot_recording/{dataset}.tsv"
    wildcard_constraints:
        dataset=any_of(RECORDINGS),
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
            labels=OF_MODEL,
        ),
        png="<results>/figures/barcodes/{experiment}/{dataset}/{model}.png",
    log:
        "<logs>/plot_barcodes/{experiment}/{dataset}/{model}.log",
    benchmark:
        "<benchmarks>/plot_barcodes/{experiment}/{dataset}/{model}.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        labels=LABELS,
        code=code_of("plot_barcodes"),
    message:
        "Draw the barcodes of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_barcodes.py"
