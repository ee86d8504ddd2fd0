# Masks drawn from one trained network with one sampler. A new sampler never retrains.


rule sample:
    input:
        rules.train.output.run,
        rules.train.output.model,
        rules.prepare.output.manifest,
        rules.prepare.output.test,
    output:
        f"{CELL}/{{sampler}}/draws.npz",
    log:
        f"{JOB}.{{sampler}}.sample.log",
    benchmark:
        f"{JOB}.{{sampler}}.sample.benchmark.tsv"
    conda:
        ENVIRONMENT
    threads: STUDY.compute.threads
    resources:
        gpu=GPU,
        mem_mb=16000 if GPU else 4000,
        runtime=1440 if GPU else 240,
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        code=lambda wildcards: provenance.sampling_code(
            settings_of(wildcards), STUDY.samplers[wildcards.sampler]
        ),
        settings=lambda wildcards: digest(
            STUDY.samplers[wildcards.sampler].model_dump(
                mode="json", exclude={"networks"}
            )
        ),
    shell:
        "noise2mask sample --study {params.study} {params.data} --dataset {wildcards.dataset}"
        " --network {wildcards.network} --mode {wildcards.mode} --seed {wildcards.seed}"
        " --sampler {wildcards.sampler} --log {log}"
