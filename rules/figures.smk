rule plot_fig1:
    input:
        parameters=collect(
            "<results>/parameters/{fit.path}.nc",
            fit=lookup("example", within=EXAMPLES[:1]),
        ),
    output:
        svg=report(
            "<results>/figures/fig1.svg",
            caption="captions/fig1.rst",
            category="Figure 1",
            labels={"figure": "the model"},
        ),
        png="<results>/figures/fig1.png",
    log:
        "<logs>/plot_fig1.log",
    benchmark:
        "<benchmarks>/plot_fig1.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig1"),
    message:
        "Draw Figure 1"
    script:
        "../workflow_scripts/plot_fig1.py"


rule plot_fig2:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'fig2'", within=FITS),
        ),
    output:
        svg=report(
            "<results>/figures/fig2.svg",
            caption="captions/fig2.rst",
            category="Figure 2",
            labels={"figure": "sharing features"},
        ),
        png="<results>/figures/fig2.png",
    log:
        "<logs>/plot_fig2.log",
    benchmark:
        "<benchmarks>/plot_fig2.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        shared=list(FITS.query("figure == 'fig2' and shares_filter").model.unique()),
        code=code_of("plot_fig2"),
    message:
        "Draw Figure 2"
    script:
        "../workflow_scripts/plot_fig2.py"


rule plot_fig3:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'fig3'", within=FITS),
        ),
        parameters=collect(
            "<results>/parameters/{fit.path}.nc",
            fit=lookup("figure == 'fig3'", within=FITS),
        ),
        locations=collect(
            "<results>/locations/{fit.path}.csv",
            fit=lookup("figure == 'fig3'", within=FITS),
        ),
        reference=f"{REFERENCE}/fig3.csv",
    output:
        svg=report(
            "<results>/figures/fig3.svg",
            caption="captions/fig3.rst",
            category="Figure 3",
            labels={"figure": "models over data sizes"},
        ),
        png="<results>/figures/fig3.png",
    log:
        "<logs>/plot_fig3.log",
    benchmark:
        "<benchmarks>/plot_fig3.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig3"),
    message:
        "Draw Figure 3"
    script:
        "../workflow_scripts/plot_fig3.py"


rule plot_fig4:
    input:
        parameters=collect(
            "<results>/parameters/{fit.path}.nc",
            fit=lookup("figure == 'fig4'", within=EXAMPLES),
        ),
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'fig4'", within=EXAMPLES),
        ),
        barcodes=collect(
            "<results>/barcodes/{fit.path}.csv",
            fit=lookup("figure == 'fig4'", within=EXAMPLES),
        ),
        barcode_scores=collect(
            "<results>/barcodes/{fit.path}_scores.csv",
            fit=lookup("figure == 'fig4'", within=EXAMPLES),
        ),
        reference=f"{REFERENCE}/fig4.csv",
    output:
        svg=report(
            "<results>/figures/fig4.svg",
            caption="captions/fig4.rst",
            category="Figure 4",
            labels={"figure": "two cell types"},
        ),
        png="<results>/figures/fig4.png",
    log:
        "<logs>/plot_fig4.log",
    benchmark:
        "<benchmarks>/plot_fig4.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig4"),
    message:
        "Draw Figure 4"
    script:
        "../workflow_scripts/plot_fig4.py"


rule plot_fig5:
    input:
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("figure == 'fig5'", within=FITS),
        ),
        barcodes=collect(
            "<results>/barcodes/{fit.path}.csv",
            fit=lookup("figure == 'fig5' and barcodes", within=FITS),
        ),
        barcode_scores=collect(
            "<results>/barcodes/{fit.path}_scores.csv",
            fit=lookup("figure == 'fig5' and barcodes", within=FITS),
        ),
        reference=f"{REFERENCE}/fig5.csv",
    output:
        svg=report(
            "<results>/figures/fig5.svg",
            caption="captions/fig5.rst",
            category="Figure 5",
            labels={"figure": "nonlinear feature spaces"},
        ),
        png="<results>/figures/fig5.png",
    log:
        "<logs>/plot_fig5.log",
    benchmark:
        "<benchmarks>/plot_fig5.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_fig5"),
    message:
        "Draw Figure 5"
    script:
        "../workflow_scripts/plot_fig5.py"


rule plot_table1:
    input:
        table="<results>/tables/table1.csv",
    output:
        svg=report(
            "<results>/figures/table1.svg",
            caption="captions/table1.rst",
            category="Table 1",
            labels={"figure": "mouse V1"},
        ),
        png="<results>/figures/table1.png",
    log:
        "<logs>/plot_table1.log",
    benchmark:
        "<benchmarks>/plot_table1.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_table1"),
    message:
        "Draw Table 1"
    script:
        "../workflow_scripts/plot_table1.py"


rule plot_scaling:
    input:
        scaling="<results>/tables/scaling.csv",
        rates="<results>/tables/exchange_rates.csv",
    output:
        svg=report(
            "<results>/figures/scaling.svg",
            caption="captions/scaling.rst",
            category="Data scaling",
            labels={"figure": "neurons against images"},
        ),
        png="<results>/figures/scaling.png",
    log:
        "<logs>/plot_scaling.log",
    benchmark:
        "<benchmarks>/plot_scaling.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_scaling"),
    message:
        "Draw performance over neurons and images"
    script:
        "../workflow_scripts/plot_scaling.py"


rule plot_data_efficiency:
    input:
        table="<results>/tables/data_efficiency.csv",
        reference=PAPER_CURVES,
    output:
        svg=report(
            "<results>/figures/data_efficiency.svg",
            caption="captions/data_efficiency.rst",
            category="Data efficiency",
        ),
        png="<results>/figures/data_efficiency.png",
    log:
        "<logs>/plot_data_efficiency.log",
    benchmark:
        "<benchmarks>/plot_data_efficiency.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_data_efficiency"),
    message:
        "Draw data efficiency"
    script:
        "../workflow_scripts/plot_data_efficiency.py"


rule plot_transfer:
    input:
        table="<results>/tables/transfer.csv",
    output:
        svg=report(
            "<results>/figures/transfer.svg",
            caption="captions/transfer.rst",
            category="Transfer",
            labels={"figure": "what other recordings are worth"},
        ),
        png="<results>/figures/transfer.png",
    log:
        "<logs>/plot_transfer.log",
    benchmark:
        "<benchmarks>/plot_transfer.tsv"
    group:
        "report"
    conda:
        "../envs/whatwhere.yaml"
    params:
        code=code_of("plot_transfer"),
    message:
        "Draw what other recordings are worth"
    script:
        "../workflow_scripts/plot_transfer.py"


rule plot_recording:
    input:
        dataset="<results>/data/{dataset}.nc",
        sta=collect(
            "<results>/sta/{cell.sta}.nc",
            cell=lookup("dataset == '{dataset}' and drawn and last", within=CELLS),
        ),
        fits=collect(
            "<results>/fits/{cell.cell_path}/fits.pt",
            cell=lookup("dataset == '{dataset}' and drawn and last", within=CELLS),
        ),
        selection=collect(
            "<results>/selection/{cell.path}.csv",
            cell=lookup("dataset == '{dataset}' and drawn and last", within=CELLS),
        ),
        scores=collect(
            "<results>/scores/{fit.path}.csv",
            fit=lookup("dataset == '{dataset}' and recording", within=FITS),
        ),
        predictions=collect(
            "<results>/predictions/{fit.path}.nc",
            fit=lookup("dataset == '{dataset}' and recording", within=FITS),
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
        model=lookup("dataset == '{dataset}' and drawn", within=FITS, cols="model"),
        cell=lookup(
            "dataset == '{dataset}' and drawn and last", within=CELLS, cols="cell"
        ),
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
            labels={
                "experiment": "{experiment}",
                "dataset": "{dataset}",
                "model": "{model}",
            },
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
        code=code_of("plot_barcodes"),
    message:
        "Draw the barcodes of {wildcards.model} on {wildcards.dataset}"
    script:
        "../workflow_scripts/plot_barcodes.py"
