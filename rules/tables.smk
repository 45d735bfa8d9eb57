rule collect_scores:
    input:
        scores=collect("<results>/scores/{fit.path}.csv", fit=FITS.itertuples()),
        summaries=collect("<results>/summaries/{fit.path}.csv", fit=FITS.itertuples()),
    output:
        scores="<results>/tables/scores.csv",
        summary="<results>/tables/summary.csv",
    log:
        "<logs>/collect_scores.log",
    benchmark:
        "<benchmarks>/collect_scores.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("collect_scores"),
    message:
        "Collect all scores"
    script:
        "../workflow_scripts/collect_scores.py"


rule collect_barcodes:
    input:
        barcodes=collect(
            "<results>/barcodes/{fit.path}.csv", fit=lookup("barcodes", within=FITS)
        ),
        scores=collect(
            "<results>/barcodes/{fit.path}_scores.csv",
            fit=lookup("barcodes", within=FITS),
        ),
    output:
        barcodes="<results>/tables/barcodes.csv",
        scores="<results>/tables/barcode_scores.csv",
    log:
        "<logs>/collect_barcodes.log",
    benchmark:
        "<benchmarks>/collect_barcodes.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("collect_barcodes"),
    message:
        "Collect all barcodes"
    script:
        "../workflow_scripts/collect_barcodes.py"


rule fit_scaling:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv", fit=lookup("scaling", within=FITS)
        ),
    output:
        scaling="<results>/tables/scaling.csv",
        rates="<results>/tables/exchange_rates.csv",
    log:
        "<logs>/fit_scaling.log",
    benchmark:
        "<benchmarks>/fit_scaling.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("fit_scaling"),
    message:
        "Fit what neurons are worth in images"
    script:
        "../workflow_scripts/fit_scaling.py"


rule collect_data_efficiency:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'data_efficiency'", within=FITS),
        ),
        locations=collect(
            "<results>/locations/{fit.path}.csv",
            fit=lookup("figure == 'data_efficiency'", within=FITS),
        ),
        barcode_scores=collect(
            "<results>/barcodes/{fit.path}_scores.csv",
            fit=lookup("figure == 'data_efficiency' and barcodes", within=FITS),
        ),
        reference=PAPER_CURVES,
    output:
        table="<results>/tables/data_efficiency.csv",
    log:
        "<logs>/collect_data_efficiency.log",
    benchmark:
        "<benchmarks>/collect_data_efficiency.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("collect_data_efficiency"),
    message:
        "Collect data efficiency"
    script:
        "../workflow_scripts/collect_data_efficiency.py"


rule collect_transfer:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'transfer'", within=FITS),
        ),
    output:
        table="<results>/tables/transfer.csv",
    log:
        "<logs>/collect_transfer.log",
    benchmark:
        "<benchmarks>/collect_transfer.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        targets=list(WAYS.query("figure == 'transfer'").target),
        ways=list(WAYS.query("figure == 'transfer'").way),
        code=code_of("collect_transfer"),
    message:
        "Collect what other recordings are worth"
    script:
        "../workflow_scripts/collect_transfer.py"


rule collect_table1:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'table1'", within=FITS),
        ),
        selection=collect(
            "<results>/selection/{fit.path}.csv",
            fit=lookup("figure == 'table1'", within=FITS),
        ),
        reference=f"{REFERENCE}/table1.csv",
    output:
        table="<results>/tables/table1.csv",
    log:
        "<logs>/collect_table1.log",
    benchmark:
        "<benchmarks>/collect_table1.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        regions={
            name: str(config["datasets"][name].get("region", name))
            for name in FITS.query("figure == 'table1'").dataset.unique()
        },
        losses={
            name: config["models"][name]["loss"]
            for name in FITS.query("figure == 'table1'").model.unique()
        },
        code=code_of("collect_table1"),
    message:
        "Collect Table 1"
    script:
        "../workflow_scripts/collect_table1.py"


rule collect_panel:
    input:
        rankings=collect(
            "<results>/fits/{cell.cell_path}/ranking.csv",
            cell=lookup("rule == 'combine' and last", within=CELLS),
        ),
        summary="<results>/tables/summary.csv",
    output:
        table="<results>/tables/panel.csv",
    log:
        "<logs>/collect_panel.log",
    benchmark:
        "<benchmarks>/collect_panel.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        names=FITS.query("rule == 'combine'")[
            ["experiment", "dataset", "model"]
        ].to_dict("records"),
        code=code_of("collect_panel"),
    message:
        "Collect the candidates for recordings"
    script:
        "../workflow_scripts/collect_panel.py"


rule answer_questions:
    input:
        scores="<results>/tables/scores.csv",
        barcode_scores=collect(
            "<results>/{table}",
            table={"tables/barcode_scores.csv"}.intersection(RESULTS),
        ),
        exchange_rates=collect(
            "<results>/{table}",
            table={"tables/exchange_rates.csv"}.intersection(RESULTS),
        ),
        transfer=collect(
            "<results>/{table}", table={"tables/transfer.csv"}.intersection(RESULTS)
        ),
        reference=[*PAPER_CURVES, f"{REFERENCE}/table1.csv"],
    output:
        answers="<results>/tables/answers.csv",
        sentences="<results>/tables/sentences.csv",
        front="<results>/pages/front.html",
        page=report(
            "<results>/pages/answers.html",
            caption="captions/answers.rst",
            category="Answers",
            labels={"page": "the paper's questions"},
        ),
    log:
        "<logs>/answer_questions.log",
    benchmark:
        "<benchmarks>/answer_questions.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        families={name: model["family"] for name, model in config["models"].items()},
        figures={name: one["figure"] for name, one in EXPERIMENTS.items()},
        code=code_of("answer_questions"),
    message:
        "Answer the paper's questions"
    script:
        "../workflow_scripts/answer_questions.py"


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
