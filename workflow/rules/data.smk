# Raw data to cases: one folder for each dataset of the study.


rule fetch:
    # Archives are no outputs: Snakemake would delete what an interrupted transfer has brought.
    output:
        "data/raw/{raw}/record.json",
    log:
        f"logs/{NAME}/{{raw}}.fetch.log",
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        dataset=lambda wildcards: fetched_for(wildcards.raw),
    shell:
        "noise2mask data get --study {params.study} {params.data} --dataset {params.dataset}"
        " --log {log}"


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
    conda:
        ENVIRONMENT
    threads: 2
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        raw=raw_content,
        code=lambda wildcards: hash_code(
            *code_hash.preparation_entries(STUDY.datasets[wildcards.dataset])
        ),
        settings=lambda wildcards: digest(
            [
                STUDY.datasets[wildcards.dataset].model_dump(
                    mode="json",
                    include={
                        "kind",
                        "shrink",
                        "tile",
                        "stride",
                        "masks",
                        "validation",
                        "leaks",
                        "options",
                    },
                ),
                STUDY.resolution,
                STUDY.shares.model_dump(),
            ]
        ),
    shell:
        "noise2mask prepare --study {params.study} {params.data} --dataset {wildcards.dataset}"
        " --processes {threads} --log {log}"
