# Scores, case by case: of draws, and of what can be said without looking at the image.


rule evaluate:
    input:
        f"{TRAINING}/{{sampler}}/draws.npz",
        rules.prepare.output.manifest,
        rules.prepare.output.test,
        proper_cases,
    output:
        f"{TRAINING}/{{sampler}}/metrics.csv",
        f"{TRAINING}/{{sampler}}/reliability.csv",
        f"{TRAINING}/{{sampler}}/{paths.AGAINST_PROPER}",
    log:
        f"{JOB}.{{sampler}}.evaluate.log",
    benchmark:
        f"{JOB}.{{sampler}}.evaluate.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        code=lambda wildcards: hash_code(
            *code_hash.evaluation_entries(
                STUDY.evaluation, fusion_of(STUDY, wildcards.sampler)
            )
        ),
        settings=lambda wildcards: digest(
            [
                SCORING,
                fusion_of(STUDY, wildcards.sampler),
                thresholds_of(STUDY, wildcards.sampler),
                proper_masks(STUDY).get(wildcards.dataset),
            ]
        ),
    shell:
        "noise2mask evaluate --study {params.study} {params.data} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed}"
        " --sampler {wildcards.sampler} --log {log}"


rule blind:
    input:
        rules.prepare.output,
    output:
        [
            f"{BLIND}/{prediction}/{table}.csv"
            for prediction in ("all_foreground", "mean_mask")
            for table in ("metrics", "reliability")
        ],
    log:
        f"logs/{NAME}/{{dataset}}.blind.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.blind.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        code=hash_code(
            *code_hash.evaluation_entries(STUDY.evaluation, STUDY.evaluation.fusion)
        ),
        settings=SCORING,
    shell:
        "noise2mask blind --study {params.study} {params.data} --dataset {wildcards.dataset}"
        " --log {log}"
