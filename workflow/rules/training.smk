# One training: a network, a dataset, a mode, a seed. The test split is not among its inputs.


rule train:
    input:
        rules.prepare.output.manifest,
        rules.prepare.output.train,
        rules.prepare.output.val,
        needed_measurement,
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
    threads: STUDY.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000 if GPU else 4000,
        runtime=2880 if GPU else 240,
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        code=lambda wildcards: hash_code(
            *code_hash.training_entries(settings_of(wildcards))
        ),
        settings=lambda wildcards: settings_of(wildcards).digest(),
    shell:
        "noise2mask train --study {params.study} {params.data} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed} --log {log}"
