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
        "noise2mask environment {wildcards.kind} --log {log}"


rule baseline:
    input:
        rules.prepare.output,
        lambda wildcards: str(environment_of(wildcards) / "installed"),
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
        gpu=GPU,
        mem_mb=16000 if GPU else 4000,
        runtime=2880 if GPU else 240,
    params:
        python=lambda wildcards: environment_of(wildcards) / "bin" / "python",
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
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
        "{params.python} -m noise2mask baseline --study {params.study} {params.data}"
        " --dataset {wildcards.dataset} --baseline {wildcards.baseline} --seed {wildcards.seed}"
        " --log {log}"
