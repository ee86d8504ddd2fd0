# Tables, figures and text of the whole study; `snakemake --report <file>.html` makes a page of them.

CATEGORIES = {
    "metrics": "Results",
    "summary": "Results",
    "comparisons": "Results",
    "reliability": "Results",
    "history": "Trainings",
    "datasets": "Data",
}


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
        report(f"{REPORT}/report.md", caption="../report/text.rst", category="Report"),
        *(
            report(
                f"{REPORT}/{table}.csv",
                caption=f"../report/{table}.rst",
                category=CATEGORIES[table],
                labels={"table": table},
            )
            for table in paths.REPORT_TABLES
        ),
        *(
            report(
                f"{REPORT}/{table}.csv",
                caption="../report/analysis.rst",
                category="Analysis",
                labels={"table": table},
            )
            for table in analysis_tables(STUDY)
        ),
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
        study=str(STUDY_FILE),
        code=hash_code(*code_hash.page_entries()),
    shell:
        "noise2mask page --study {params.study:q} --log {log:q}"
