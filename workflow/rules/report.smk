# Tables, figures and text of the whole study.


rule report:
    input:
        scored("metrics.csv"),
        scored("draws.npz"),
        scored("reliability.csv"),
        expand(rules.blind.output, dataset=scored_datasets(STUDY)),
        analysed(),
        costs(),
        expand(rules.prepare.output.manifest, dataset=STUDY.datasets),
    output:
        f"{REPORT}/report.md",
        [
            f"{REPORT}/{table}.csv"
            for table in (*paths.REPORT_TABLES, *analysis_tables(STUDY))
        ],
        f"{REPORT}/metrics.json",
        f"{REPORT}/provenance.json",
    log:
        f"logs/{NAME}/report.log",
    benchmark:
        f"logs/{NAME}/report.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=study_options,
        code=hash_code(*code_hash.report_entries()),
        settings=digest(STUDY.model_dump(mode="json")),
    shell:
        "noise2mask report {params.study} --log {log:q}"
