# One training: a network, a dataset, a mode, a seed. The test split is not among its inputs.


rule train:
    input:
        rules.prepare.output.manifest,
        rules.prepare.output.train,
        rules.prepare.output.val,
        needed_measurement,
        # A dataset more is no reason to train again on the others.
        ancient(READY),
    output:
        run=f"{TRAINING}/run.json",
        model=f"{TRAINING}/model.safetensors",
        history=f"{TRAINING}/history.jsonl",
    log:
        f"{JOB}.train.log",
    benchmark:
        f"{JOB}.train.benchmark.tsv"
    wildcard_constraints:
        network=named(STUDY.networks),
    conda:
        ENVIRONMENT
    threads: STUDY.compute.processes * STUDY.compute.threads
    resources:
        gpu=STUDY.compute.processes * GPUS,
    params:
        study=study_options,
        code=lambda wildcards: hash_code(
            *code_hash.training_entries(settings_of(wildcards))
        ),
        settings=lambda wildcards: settings_of(wildcards).digest(),
    shell:
        "noise2mask train {params.study} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed} --log {log:q}"
