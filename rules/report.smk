rule render_table:
    input:
        path="<results>/tables/{table}.csv",
    output:
        page=report(
            "<results>/pages/tables/{table}.html",
            caption="captions/table.rst",
            category="Tables",
            labels=lambda wildcards: {"table": wildcards.table.replace("_", " ")},
        ),
    log:
        "<logs>/render_table/{table}.log",
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        name="{table}",
        code=code_of("render_table"),
    message:
        "Render the table {wildcards.table}"
    script:
        "../workflow_scripts/render_table.py"


CAPTIONS = ROOT / "rules" / "captions"
# What the page of the run shows, whether the run goes on or not.
SHOWN = {
    "results": RESULTS,
    "titles": {
        name.removeprefix("plot_"): (one["title"][0] if "each" in one else ": ".join(one["title"]))
        for name, one in FIGURES.items()
    },
    "labels": LABELS,
    "datasets": DATASET_LABELS,
    "run": config["run"],
    "captions": [str(path) for path in sorted(CAPTIONS.glob("*.rst"))],
    "template": str(CAPTIONS / "index.html"),
}


onstart:
    # The page exists from the beginning and fills up; build_index, which needs all results, completes it.
    if not Path(f"{RUN}/index.html").exists():
        from build_index import page
        from whatwhere.files import atomic

        with atomic(f"{RUN}/index.html") as begun:
            begun.write_text(page(**SHOWN), encoding="utf-8")


rule build_index:
    input:
        collect("<results>/{result}", result=RESULTS),
        collect("<results>/pages/{page}.html", page=PAGES),
        SHOWN["captions"],
        SHOWN["template"],
        sentences="<results>/tables/sentences.csv",
        opening_template=CAPTIONS / "opening.html",
        front="<results>/pages/front.html",
        explorer=of_run("explore.html"),
    output:
        index="<results>/index.html",
        opening="<results>/pages/opening.html",
    log:
        "<logs>/build_index.log",
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        shown=SHOWN,
        code=code_of("build_index"),
    message:
        "Write the first page of the run"
    script:
        "../workflow_scripts/build_index.py"


rule build_report:
    input:
        collect("<results>/{result}", result=RESULTS),
        collect("<results>/pages/{page}.html", page=PAGES),
        "<results>/pages/opening.html",
        stylesheet=CAPTIONS / "report.css",
    output:
        report="<results>/report.html",
        configuration="<results>/config.yaml",
    log:
        "<logs>/build_report.log",
    group:
        "report"
    localrule: True
    conda:
        "../envs/whatwhere.yaml"
    params:
        python=untracked(sys.executable),
        snakefile=untracked(workflow.main_snakefile),
        config=config,
        code=code_of("build_report"),
    message:
        "Write the report of the run"
    script:
        "../workflow_scripts/build_report.py"
