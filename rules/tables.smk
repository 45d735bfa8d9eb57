COLLECTED = files_by_kind(
    "index >= 0", "scores", "summary", "barcodes", "barcode_scores"
)
COLLECTED = {kind: files for kind, files in COLLECTED.items() if files}

# Tables of a whole run, some with pages: inputs, outputs and parameters of a rule and the script of the same name.
TABLES = {
    "collect_scores": {
        "input": COLLECTED,
        "output": {name: f"{name}.csv" for name in COLLECTED},
    },
    "fit_scaling": {
        "input": files_by_kind("scaling", "scores"),
        "output": {"scaling": "scaling.csv", "rates": "exchange_rates.csv"},
    },
    "collect_data_efficiency": {
        "input": files_by_kind(
            "figure == 'data_efficiency'", "scores", "locations", "barcode_scores"
        )
        | {"reference": PAPER_CURVES},
        "output": {"table": "data_efficiency.csv"},
        "params": {
            "paper": PAPER,
            "networks": list(FITS.query("factorized and paper != ''").model.unique()),
        },
    },
    "collect_transfer": {
        "input": files_by_kind("figure == 'transfer'", "scores"),
        "output": {"table": "transfer.csv"},
        "params": {
            "targets": list(FITS.query("figure == 'transfer'").target),
            "strategies": list(FITS.query("figure == 'transfer'").strategy),
        },
    },
    "collect_table1": {
        "input": files_by_kind("figure == 'table1'", "scores", "selection")
        | {"reference": f"{REFERENCE}/table1.csv"},
        "output": {"table": "table1.csv"},
        "params": {
            "regions": {
                name: str(config["datasets"][name].get("region", name))
                for name in FITS.query("figure == 'table1'").dataset.unique()
            },
            "losses": {
                name: ModelSpec.of(config["models"][name]).loss
                for name in FITS.query("figure == 'table1'").model.unique()
            },
            "paper": PAPER,
        },
    },
    "collect_panel": {
        "input": {
            "rankings": of_fits(
                "fits/{fit.condition_path}/ranking.csv",
                "rule == 'fit_ensemble' and last",
                CONDITIONS,
            ),
            "summary": "<results>/tables/summary.csv",
        },
        "output": {"table": "panel.csv"},
        "params": {"names": names_of("rule == 'fit_ensemble'")},
    },
    "answer_questions": {
        "input": {
            "scores": "<results>/tables/scores.csv",
            "barcode_scores": of_run("tables/barcode_scores.csv"),
            "exchange_rates": of_run("tables/exchange_rates.csv"),
            "transfer": of_run("tables/transfer.csv"),
            "reference": [*PAPER_CURVES, f"{REFERENCE}/table1.csv"],
        },
        "output": {"output": "answers.csv", "written": "sentences.csv"},
        "pages": {
            "front": "<results>/pages/front.html",
            "page": report(
                "<results>/pages/answers.html",
                caption="captions/answers.rst",
                category="Answers",
                labels={"page": "answers to the paper's questions"},
            ),
        },
        "params": {
            "families": {name: one["family"] for name, one in config["models"].items()},
            "figures": {name: one["figure"] for name, one in EXPERIMENTS.items()},
            "labels": LABELS,
            "datasets": DATASET_LABELS,
            "paper": PAPER,
        },
    },
}

for name, one in TABLES.items():

    # A job evaluates the path of its script again, with its own params.
    params = one.get("params", {}) | {"script": name, "code": code_of(name)}

    rule:
        name:
            name
        input:
            **one["input"],
        output:
            **{key: f"<results>/tables/{file}" for key, file in one["output"].items()},
            **one.get("pages", {}),
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
            f"Write {' and '.join(one['output'].values())}"
        script:
            f"../workflow_scripts/{params['script']}.py"


rule collect_benchmarks:
    input:
        # Benchmark files are no outputs: they are complete when all that is timed has been made.
        collect("<results>/{result}", result=RESULTS),
        "<results>/tables/answers.csv",
    output:
        table="<results>/tables/run_times.csv",
    log:
        "<logs>/collect_benchmarks.log",
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        folder=f"{RUN}/benchmarks",
        code=code_of("collect_benchmarks"),
    message:
        "Collect run times"
    script:
        "../workflow_scripts/collect_benchmarks.py"
