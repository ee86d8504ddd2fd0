# Masks drawn from one trained network with one sampler. A new sampler never retrains.


rule sample:
    input:
        rules.train.output.run,
        rules.train.output.model,
        rules.prepare.output.manifest,
        lambda wildcards: expand(
            [f"{PREPARED}/{{split}}.images.npy", f"{PREPARED}/{{split}}.masks.npy"],
            dataset=wildcards.dataset,
            split=SPLIT_OF[wildcards.drawn],
        ),
    output:
        f"{TRAINING}/{{sampler}}/{{drawn}}.npz",
    log:
        f"{JOB}.{{sampler}}.{{drawn}}.sample.log",
    benchmark:
        f"{JOB}.{{sampler}}.{{drawn}}.sample.benchmark.tsv"
    wildcard_constraints:
        network=named(STUDY.networks),
        sampler=named(STUDY.samplers),
        drawn=named(SPLIT_OF),
    conda:
        ENVIRONMENT
    threads: STUDY.compute.threads
    resources:
        gpu=GPUS,
    params:
        study=study_options,
        split=lambda wildcards: SPLIT_OF[wildcards.drawn],
        code=lambda wildcards: hash_code(
            *code_hash.sampling_entries(
                settings_of(wildcards), STUDY.samplers[wildcards.sampler]
            )
        ),
        settings=lambda wildcards: digest(
            STUDY.samplers[wildcards.sampler].model_dump(
                mode="json", exclude={"networks"}
            )
        ),
    shell:
        "noise2mask sample {params.study} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed}"
        " --sampler {wildcards.sampler} --split {params.split} --log {log:q}"


rule read:
    # Draws that are there, read in another way; no network is run.
    input:
        lambda wildcards: drawn_for(wildcards, "test"),
        lambda wildcards: (
            drawn_for(wildcards, "val")
            if STUDY.readings[wildcards.reading].temperature
            else []
        ),
        rules.prepare.output.manifest,
        rules.prepare.output.val,
        rules.prepare.output.test,
    output:
        f"{TRAINING}/{{reading}}/draws.npz",
    log:
        f"{JOB}.{{reading}}.read.log",
    benchmark:
        f"{JOB}.{{reading}}.read.benchmark.tsv"
    wildcard_constraints:
        network=named(STUDY.networks),
        reading=named(STUDY.readings),
    conda:
        ENVIRONMENT
    params:
        study=study_options,
        code=lambda wildcards: hash_code(
            *code_hash.reading_entries(fusion_of(STUDY, wildcards.reading))
        ),
        settings=lambda wildcards: digest(
            [
                STUDY.readings[wildcards.reading].model_dump(
                    mode="json", exclude={"networks", "thresholds"}
                ),
                fusion_of(STUDY, wildcards.reading),
            ]
        ),
    shell:
        "noise2mask read {params.study} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed}"
        " --sampler {wildcards.reading} --log {log:q}"
