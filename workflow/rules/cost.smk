# What a mask costs. Nothing else of the workflow runs beside these rules; they come last, so that no
# core waits for them.


rule cost:
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
    threads: workflow.cores
    resources:
        gpu=GPU,
    params:
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
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
        "noise2mask cost --study {params.study} {params.data} --log {log}"


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
    threads: workflow.cores
    resources:
        gpu=GPU,
    params:
        python=lambda wildcards: environment_of(wildcards) / "bin" / "python",
        study=STUDY_FILE,
        data=f"--data {DATA}" if DATA else "",
        code=lambda wildcards: hash_code(
            *code_hash.baseline_entries(STUDY.baselines[wildcards.baseline])
        ),
    shell:
        "{params.python} -m noise2mask baseline-cost --study {params.study} {params.data}"
        " --dataset {wildcards.dataset} --baseline {wildcards.baseline} --seed {wildcards.seed}"
        " --log {log}"
