# Raw data to cases: one folder for each dataset of the study.


rule fetch:
    # Archives are no outputs: Snakemake would delete what an interrupted transfer has brought.
    output:
        "data/raw/{raw}/record.json",
    log:
        f"logs/{NAME}/{{raw}}.fetch.log",
    priority: 10
    conda:
        ENVIRONMENT
    params:
        study=study_options,
        dataset=lambda wildcards: fetched_for(wildcards.raw),
    shell:
        "noise2mask data get {params.study} --dataset {params.dataset}" " --log {log:q}"


rule prepare:
    input:
        fetched,
    output:
        manifest=f"{PREPARED}/manifest.json",
        train=[f"{PREPARED}/train.images.npy", f"{PREPARED}/train.masks.npy"],
        val=[f"{PREPARED}/val.images.npy", f"{PREPARED}/val.masks.npy"],
        test=[f"{PREPARED}/test.images.npy", f"{PREPARED}/test.masks.npy"],
    log:
        f"logs/{NAME}/{{dataset}}.prepare.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.prepare.benchmark.tsv"
    # A mistake in the data of a study is told before anything trains on the others.
    priority: 10
    conda:
        ENVIRONMENT
    threads: 2
    params:
        study=study_options,
        raw=raw_content,
        code=lambda wildcards: hash_code(
            *code_hash.preparation_entries(STUDY.datasets[wildcards.dataset])
        ),
        settings=lambda wildcards: digest(
            [
                prepared_as(STUDY.datasets[wildcards.dataset]),
                STUDY.resolution,
                STUDY.shares.model_dump(),
            ]
        ),
    shell:
        "noise2mask prepare {params.study} --dataset {wildcards.dataset}"
        " --processes {threads} --log {log:q}"


rule ready:
    input:
        expand(rules.prepare.output.manifest, dataset=STUDY.datasets),
    output:
        touch(READY),
    priority: 10
