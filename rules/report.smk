rule collect_benchmarks:
    input:
        # Benchmark files are no outputs: they are complete when all that is timed has been made.
        all_targets(),
        f"{RUN}/tables/answers.csv",
    output:
        table=f"{RUN}/tables/run_times.csv",
    log:
        f"{RUN}/logs/collect_benchmarks.log",
    conda:
        "../envs/whatwhere.yaml"
    params:
        folder=f"{RUN}/benchmarks",
        code=code_of("collect_benchmarks"),
    message:
        "Collect run times"
    script:
        "../workflow_scripts/collect_benchmarks.py"


rule describe_run:
    input:
        run_times=f"{RUN}/tables/run_times.csv",
    output:
        versions=f"{RUN}/tables/software.csv",
        page=report(
            f"{RUN}/pages/run.html",
            caption="captions/run.rst",
            category="Run",
            labels={"page": "configuration, software, machine, run times"},
        ),
    log:
        f"{RUN}/logs/describe_run.log",
    conda:
        "../envs/whatwhere.yaml"
    params:
        config=config,
        workflow=workflow.basedir,
        code=code_of("describe_run"),
    message:
        "Describe the run"
    script:
        "../workflow_scripts/describe_run.py"


rule answer_questions:
    input:
        unpack(question_tables),
        reference=REFERENCES,
    output:
        answers=f"{RUN}/tables/answers.csv",
        page=report(
            f"{RUN}/pages/answers.html",
            caption="captions/answers.rst",
            category="Answers",
            labels={"page": "the paper's five questions"},
        ),
    log:
        f"{RUN}/logs/answer_questions.log",
    benchmark:
        f"{RUN}/benchmarks/answer_questions.tsv"
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


rule render_table:
    input:
        table=f"{RUN}/tables/{{table}}.csv",
    output:
        page=report(
            f"{RUN}/pages/tables/{{table}}.html",
            caption="captions/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        f"{RUN}/logs/render_table/{{table}}.log",
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("render_table"),
    message:
        "Render the table {wildcards.table}"
    script:
        "../workflow_scripts/render_table.py"


rule build_report:
    input:
        all_targets(),
        report_pages(),
    output:
        report=f"{RUN}/report.html",
        configuration=f"{RUN}/config.yaml",
    log:
        f"{RUN}/logs/build_report.log",
    localrule: True
    conda:
        "../envs/whatwhere.yaml"
    params:
        python=sys.executable,
        snakefile=workflow.main_snakefile,
        config=config,
        code=code_of("build_report"),
    message:
        "Write the report of the run"
    script:
        "../workflow_scripts/build_report.py"
