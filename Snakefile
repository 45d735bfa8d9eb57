from snakemake.utils import min_version

min_version("9.0")


configfile: f"{workflow.basedir}/config/config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/inputs.smk"
include: "rules/data.smk"
include: "rules/fit.smk"
include: "rules/evaluate.smk"
include: "rules/paper_figures.smk"
include: "rules/figures.smk"
include: "rules/tables.smk"
include: "rules/explore.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        all_targets(),
        report_pages(),
