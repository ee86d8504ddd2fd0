# What is known without a score: fingerprints of datasets, and losses along the noise axis.


rule fingerprint:
    input:
        rules.prepare.output,
    output:
        [f"{DESCRIBED}/{table}.csv" for table in paths.FINGERPRINT_TABLES],
    log:
        f"logs/{NAME}/{{dataset}}.fingerprint.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.fingerprint.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=study_options,
        code=hash_code(code_hash.FINGERPRINT),
        settings=digest(
            [
                STUDY.analysis.oracles,
                STUDY.analysis.oracle_spacing,
                STUDY.evaluation.resamples,
                STUDY.evaluation.level,
            ]
        ),
    shell:
        "noise2mask fingerprint {params.study} --dataset {wildcards.dataset}"
        " --log {log:q}"


rule grown:
    # Reads the raw files again; the manifest tells what they held.
    input:
        rules.prepare.output.manifest,
    output:
        str(paths.grown_file(NAME, "{dataset}")),
    log:
        f"logs/{NAME}/{{dataset}}.grown.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.grown.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    params:
        study=study_options,
        code=lambda wildcards: hash_code(
            *code_hash.growing_entries(STUDY.datasets[wildcards.dataset])
        ),
        settings=digest(STUDY.analysis.grown),
    shell:
        "noise2mask grown {params.study} --dataset {wildcards.dataset}"
        " --processes {threads} --log {log:q}"


rule measure:
    input:
        measured_trainings("run.json"),
        measured_trainings("model.safetensors"),
        rules.prepare.output,
    output:
        MEASURED,
        MEASURED_PICTURES,
    log:
        f"logs/{NAME}/{{dataset}}.{{network}}.seed{{seed}}.measure.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.{{network}}.seed{{seed}}.measure.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: STUDY.compute.threads
    resources:
        gpu=GPUS,
    params:
        study=study_options,
        code=lambda wildcards: hash_code(
            *code_hash.measuring_entries(measured_runs(wildcards))
        ),
        settings=digest(
            STUDY.analysis.model_dump(
                mode="json", include={"pair", "splits", "spacing", "repeats"}
            )
        ),
    shell:
        "noise2mask measure {params.study} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --seed {wildcards.seed} --log {log:q}"
