COLLECTED = files_by_kind("index >= 0", "scores", "summary", "draws", "barcodes", "barcode_scores")
COLLECTED = {kind: files for kind, files in COLLECTED.items() if files}

# Tables and pages: inputs, tables and other files, and parameters of a rule and the script of the same name.
TABLES = {
    "collect_scores": {
        "input": COLLECTED,
        "output": {name: f"{name}.csv" for name in [*COLLECTED, "differences"] if name != "draws"},
    },
    "fit_scaling": {
        "input": files_by_kind("scaling", "scores"),
        "output": {"scaling": "scaling.csv", "rates": "exchange_rates.csv"},
    },
    "collect_data_efficiency": {
        "input": files_by_kind("figure == 'data_efficiency'", "scores", "locations", "barcode_scores"),
        "output": {"table": "data_efficiency.csv"},
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
                "fits/{fit.condition_path}/ranking.csv", "rule == 'fit_ensemble' and last", CONDITIONS
            ),
            "summary": "<results>/tables/summary.csv",
        },
        "output": {"table": "panel.csv"},
        "params": {"names": names_of("rule == 'fit_ensemble'")},
    },
    "answer_questions": {
        "input": {
            "scores": "<results>/tables/scores.csv",
            "differences": "<results>/tables/differences.csv",
            "barcode_scores": of_run("tables/barcode_scores.csv"),
            "exchange_rates": of_run("tables/exchange_rates.csv"),
            "transfer": of_run("tables/transfer.csv"),
            "reference": [*PAPER_CURVES, f"{REFERENCE}/table1.csv"],
        },
        "output": {"output": "answers.csv", "written": "sentences.csv"},
        "files": {
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
            "know_fields": [
                name for name, one in config["models"].items() if one.get("input") == "known_patch"
            ],
            "figures": {name: one["figure"] for name, one in EXPERIMENTS.items()},
            "labels": LABELS,
            "datasets": DATASET_LABELS,
            "paper": PAPER,
        },
    },
    "build_explorer": {
        "input": {
            "neurons": of_fits("neurons/{fit.path}.nc", "explored"),
            # No module of Python, so that `code` does not know it.
            "script": SCRIPTS / "whatwhere" / "explorer.js",
        },
        "files": {"page": "<results>/explore.html"},
        "resources": {"mem_mb": growing(8000), "runtime": growing(30)},
        "params": {
            "names": names_of("explored"),
            "labels": LABELS,
            "datasets": DATASET_LABELS,
            "run": config["run"],
        },
        "message": "Build the explorer of all neurons",
    },
    "describe_run": {
        # Benchmark files are no outputs: they are complete when all that is timed has been made.
        "input": {
            "timed": collect("<results>/{result}", result=RESULTS),
            "answers": "<results>/tables/answers.csv",
            "summary": "<results>/tables/summary.csv",
        },
        "output": {"versions": "software.csv", "run_times": "run_times.csv"},
        "files": {
            "page": report(
                "<results>/pages/run.html",
                caption="captions/run.rst",
                category="Run",
                labels={"page": "configuration, software, machine, run times"},
            )
        },
        "params": {"config": config, "workflow": str(ROOT), "benchmarks": f"{RUN}/benchmarks"},
        "message": "Describe the run",
    },
    "describe_dataset": {
        "input": {"dataset": "<results>/data/{dataset}.nc"},
        "files": {
            "page": report(
                "<results>/datasets/{dataset}.html",
                caption="captions/dataset.rst",
                category="Datasets",
                labels=labels_of,
            ),
            "neurons": "<results>/datasets/{dataset}.csv",
            "svg": "<results>/datasets/{dataset}.svg",
            "png": "<results>/datasets/{dataset}.png",
        },
        "path": "describe_dataset/{dataset}",
        "priority": by_experiment,
        "resources": {"mem_mb": growing(8000), "runtime": growing(30)},
        "params": {"label": lambda wildcards: DATASET_LABELS[wildcards.dataset]},
        "message": "Describe {wildcards.dataset}",
    },
}

for name, one in (TABLES | DRAWN_BY).items():

    # A job evaluates the path of its script again, with its own params.
    params = one.get("params", {}) | {"script": name, "code": code_of(name)}
    tables = one.get("output", {})

    rule:
        name:
            name
        input:
            **one["input"],
        output:
            **{key: f"<results>/tables/{file}" for key, file in tables.items()},
            **one.get("files", {}),
        log:
            f"<logs>/{one.get('path', name)}.log",
        benchmark:
            f"<benchmarks>/{one.get('path', name)}.tsv"
        wildcard_constraints:
            dataset=any_of(one.get("datasets", DATASETS)),
        priority: one.get("priority", FIRST)
        group:
            "report"
        conda:
            "../envs/whatwhere.yaml"
        resources:
            **one.get("resources", {}),
        params:
            **params,
        message:
            one.get("message", f"Write {' and '.join(tables.values())}")
        script:
            f"../workflow_scripts/{params['script']}.py"
