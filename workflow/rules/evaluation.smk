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
        study=study_options,
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
        "noise2mask evaluate {params.study} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed}"
        " --sampler {wildcards.sampler} --log {log:q}"


rule blind:
    input:
        rules.prepare.output,
    output:
        [
            f"{BLIND}/{prediction}/{table}.csv"
            for prediction in (*paths.BLIND, *paths.CLASSICAL)
            for table in ("metrics", "reliability")
        ],
    log:
        f"logs/{NAME}/{{dataset}}.blind.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.blind.benchmark.tsv"
    conda:
        ENVIRONMENT
    params:
        study=study_options,
        code=hash_code(
            *code_hash.evaluation_entries(STUDY.evaluation, STUDY.evaluation.fusion)
        ),
        settings=SCORING,
    shell:
        "noise2mask blind {params.study} --dataset {wildcards.dataset}" " --log {log:q}"


rule cost:
    # What a mask costs is measured alone on the machine, and comes last, so that no core waits for it.
    input:
        [
            str(paths.training_folder(paths.RESULTS, NAME, training) / file)
            for training in PRICED
            for file in ("run.json", "model.safetensors")
        ],
        expand(
            rules.prepare.output,
            dataset=dict.fromkeys(training.dataset for training in PRICED),
        ),
    output:
        str(paths.cost_file(NAME)),
    log:
        f"logs/{NAME}/cost.log",
    benchmark:
        f"logs/{NAME}/cost.benchmark.tsv"
    priority: -1
    conda:
        ENVIRONMENT
    threads: whole_machine
    resources:
        gpu=GPUS,
    params:
        study=study_options,
        code=hash_code(
            *code_hash.costing_entries(
                [settings_for(training) for training in PRICED],
                STUDY.samplers.values(),
            )
        ),
        settings=digest(
            STUDY.model_dump(
                mode="json", include={"modes", "samplers", "readings", "compute"}
            )
        ),
    shell:
        "noise2mask cost {params.study} --log {log:q}"
