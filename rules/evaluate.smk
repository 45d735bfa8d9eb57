EVALUATED = {
    kind: f"<results>/{path.replace('{fit.path}', '{experiment}/{dataset}/{model}')}"
    for kind, path in PATTERNS.items()
}
WITH_BARCODES = list(FITS.model[FITS.barcodes].unique())
WITHOUT_BARCODES = [name for name in MODELS if name not in WITH_BARCODES]

for name, models in {"evaluate": WITHOUT_BARCODES, "evaluate_barcodes": WITH_BARCODES}.items():
    kinds = [k for k in EVALUATED if models is WITH_BARCODES or k not in OF_BARCODES]

    rule:
        name:
            name
        input:
            dataset="<results>/data/{dataset}.nc",
            averages=of_conditions("sta/{fit.sta}.nc", "masks"),
            fits=of_conditions("fits/{fit.condition_path}/fits.pt"),
            validation=of_conditions("fits/{fit.condition_path}/validation.nc"),
        output:
            **{kind: EVALUATED[kind] for kind in kinds},
        log:
            f"<logs>/{name}/{{experiment}}/{{dataset}}/{{model}}.log",
        benchmark:
            f"<benchmarks>/{name}/{{experiment}}/{{dataset}}/{{model}}.tsv"
        wildcard_constraints:
            model=any_of(models),
        priority: by_experiment
        group:
            "evaluate"
        conda:
            "../envs/whatwhere.yaml"
        threads: 1
        resources:
            mem_mb=growing(8000),
            runtime=growing(120),
        params:
            conditions=lookup(OF_FIT, within=CONDITIONS, cols="condition"),
            names=lambda wildcards: dict(wildcards.items()),
            rules=lookup(dpath="{experiment}/selection", within=EXPERIMENTS),
            code=code_of("evaluate"),
        message:
            "Evaluate {wildcards.model} on {wildcards.dataset}"
        script:
            "../workflow_scripts/evaluate.py"
