# Baselines: implementations of others on the same cases and splits, in environments of their own.


rule environment:
    input:
        "envs/{kind}.txt",
        "envs/core.txt",
    output:
        ".venv-{kind}/installed",
    log:
        "logs/{kind}.environment.log",
    conda:
        ENVIRONMENT
    shell:
        "noise2mask environment {wildcards.kind} --log {log:q}"


rule baseline:
    input:
        rules.prepare.output,
        lambda wildcards: str(environment_of(wildcards) / "installed"),
        ancient(READY),
    output:
        run=f"{COMPARISON}/run.json",
        draws=f"{COMPARISON}/{PREDICTION}/draws.npz",
    log:
        f"logs/{NAME}/{{dataset}}.{{baseline}}.seed{{seed}}.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.{{baseline}}.seed{{seed}}.benchmark.tsv"
    wildcard_constraints:
        baseline=named(STUDY.baselines),
    conda:
        ENVIRONMENT
    threads: STUDY.compute.threads
    resources:
        gpu=GPUS,
    params:
        study=study_options,
        python=lambda wildcards: environment_of(wildcards) / "bin" / "python",
        code=lambda wildcards: hash_code(
            *code_hash.baseline_entries(STUDY.baselines[wildcards.baseline])
        ),
        settings=lambda wildcards: digest(
            [
                STUDY.baselines[wildcards.baseline].model_dump(
                    mode="json", include={"kind", "options"}
                ),
                STUDY.datasets[wildcards.dataset].augmentation,
                STUDY.compute.threads,
            ]
        ),
    shell:
        "{params.python:q} -m noise2mask baseline {params.study}"
        " --dataset {wildcards.dataset} --baseline {wildcards.baseline} --seed {wildcards.seed}"
        " --log {log:q}"


rule baseline_cost:
    input:
        rules.baseline.output.run,
        rules.prepare.output,
    output:
        f"{COMPARISON}/cost.csv",
    log:
        f"logs/{NAME}/{{dataset}}.{{baseline}}.seed{{seed}}.cost.log",
    benchmark:
        f"logs/{NAME}/{{dataset}}.{{baseline}}.seed{{seed}}.cost.benchmark.tsv"
    wildcard_constraints:
        baseline=named(STUDY.baselines),
    priority: -1
    conda:
        ENVIRONMENT
    threads: whole_machine
    resources:
        gpu=GPUS,
    params:
        study=study_options,
        python=lambda wildcards: environment_of(wildcards) / "bin" / "python",
        code=lambda wildcards: hash_code(
            *code_hash.baseline_entries(STUDY.baselines[wildcards.baseline])
        ),
    shell:
        "{params.python:q} -m noise2mask baseline-cost {params.study}"
        " --dataset {wildcards.dataset} --baseline {wildcards.baseline} --seed {wildcards.seed}"
        " --log {log:q}"
