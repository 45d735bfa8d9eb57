from snakemake.utils import min_version

min_version("9.27")


configfile: workflow.source_path("config/config.yaml")


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/fit.smk"
include: "rules/evaluate.smk"
include: "rules/figures.smk"
include: "rules/tables.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        collect("<results>/{result}", result=RESULTS),
        collect("<results>/pages/{page}.html", page=PAGES),
        "<results>/index.html",
