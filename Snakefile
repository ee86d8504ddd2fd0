# The entry: `snakemake --config study=quick` in this folder. The workflow itself is workflow/Snakefile.
include: "workflow/Snakefile"


# Snakemake forgets the default target of an included file.
workflow.default_target = "all"
