# Tables, figures and text of the whole study.


rule report:
    input:
        scored("metrics.csv"),
        scored("draws.npz"),
        expand(rules.blind.output, dataset=STUDY.datasets),
        expand(rules.prepare.output.manifest, dataset=STUDY.datasets),
    output:
        REPORT,
        [
            f"{layout.REPORTS}/{NAME}/{table}.csv"
            for table in (
                "metrics",
                "summary",
                "comparisons",
                "history",
                "reliability",
                "datasets",
            )
        ],
        f"{layout.REPORTS}/{NAME}/metrics.json",
        f"{layout.REPORTS}/{NAME}/provenance.json",
    log:
        f"logs/{NAME}/report.log",
    benchmark:
        f"logs/{NAME}/report.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        code=provenance.report_code(),
        settings=digest(STUDY.model_dump(mode="json")),
    shell:
        "noise2mask report --study {params.study} --log {log}"
