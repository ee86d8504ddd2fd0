# Tables, figures and text of the whole study.


rule report:
    input:
        scored("metrics.csv"),
        scored("draws.npz"),
        scored("reliability.csv"),
        scored(paths.AGAINST_PROPER),
        expand(rules.blind.output, dataset=scored_datasets(STUDY)),
        analysed(),
        costs(),
        expand(rules.prepare.output.manifest, dataset=STUDY.datasets),
    output:
        REPORT,
        [
            f"{paths.REPORTS}/{NAME}/{table}.csv"
            for table in (
                "metrics",
                "summary",
                "comparisons",
                "history",
                "reliability",
                "datasets",
            )
        ],
        [f"{paths.REPORTS}/{NAME}/{table}.csv" for table in analysis_tables(STUDY)],
        f"{paths.REPORTS}/{NAME}/metrics.json",
        f"{paths.REPORTS}/{NAME}/provenance.json",
    log:
        f"logs/{NAME}/report.log",
    benchmark:
        f"logs/{NAME}/report.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        code=hash_code(*code_hash.report_entries()),
        settings=digest(STUDY.model_dump(mode="json")),
    shell:
        "noise2mask report --study {params.study} {params.data} --log {log}"


rule page:
    # Of the report's files alone.
    input:
        rules.report.output,
    output:
        PAGE,
    log:
        f"logs/{NAME}/page.log",
    benchmark:
        f"logs/{NAME}/page.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        code=hash_code(*code_hash.page_entries()),
    shell:
        "noise2mask page --study {params.study} --log {log}"
