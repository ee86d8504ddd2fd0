# The order of a study: prepare, train, sample, evaluate, analyse, report.
#
#   snakemake --config study=quick
#   snakemake --config study=real data=<folder>
#
# `noise2mask reproduce` first compares what lies there with Snakemake's records of it.
#
# What a study holds stands in config/<study>.yaml, how a job runs in profiles/.
from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"


localrules:
    all,
    fetch,


rule all:
    default_target: True
    input:
        # The scores too: a report that came with a clone does not prove that anything was run.
        REPORT,
        scored("metrics.csv"),
        analysed(),
