def cell_files(pattern, keep=lambda model: True):
    """Input function: a file of every cell of one experiment, dataset and model, if its definition is wanted."""

    def files(wildcards):
        if "model" in wildcards.keys() and not keep(config["models"][wildcards.model]):
            return []
        return [
            pattern.format(**wildcards, n_neurons=n_neurons, n_images=n_images)
            for n_neurons, n_images in cells(EXPERIMENTS[wildcards.experiment])
        ]

    return files


def localizer_files(*patterns):
    """Input function: files of the model from which a model starts, for the same cell; else nothing."""

    def files(wildcards):
        localizer = config["models"][wildcards.model].get("localizer")
        keys = dict(wildcards.items()) | {"model": localizer}
        return [pattern.format(**keys) for pattern in patterns] if localizer else []

    return files


def last_cell_file(pattern):
    """Input function: a file of the last cell of one experiment and dataset."""
    return lambda wildcards: cell_files(pattern)(wildcards)[-1]


def fits_of(experiments, keep=lambda model: True):
    """Experiment, dataset and model of everything that is fitted and whose definition is wanted."""
    return [
        {"experiment": experiment["name"], "dataset": dataset, "model": model}
        for experiment in experiments
        for dataset in experiment["datasets"]
        for model in experiment["models"]
        if keep(config["models"][model])
    ]


def fitted(pattern, keep=lambda model: True):
    """A file of every experiment, dataset and model whose definition is wanted."""
    return [pattern.format(**names) for names in fits_of(EXPERIMENTS.values(), keep)]


def figure_files(figure, pattern, keep=lambda model: True):
    """A file of everything that is fitted for one figure."""
    experiments = [e for e in EXPERIMENTS.values() if e["figure"] == figure]
    return [pattern.format(**names) for names in fits_of(experiments, keep)]


def model_of(experiment, family):
    """The first model of a family in an experiment, or None."""
    names = (m for m in experiment["models"] if config["models"][m]["family"] == family)
    return next(names, None)


def largest(pattern, experiment, dataset, model):
    """A file of the last cell of an experiment, the largest one if sizes are listed in rising order."""
    n_neurons, n_images = cells(experiment)[-1]
    return pattern.format(
        experiment=experiment["name"],
        dataset=dataset,
        model=model,
        n_neurons=n_neurons,
        n_images=n_images,
    )


def figure_file(figure, pattern):
    """Input function: a file of a figure's first factorised model with several features."""

    def file(wildcards):
        return figure_files(figure, pattern, has_mask_and_features)[0]

    return file


def example_file(pattern):
    """Input function: a file of the run's first factorised model with several features."""

    def file(wildcards):
        return pattern.format(**fits_of(EXPERIMENTS.values(), has_mask_and_features)[0])

    return file


def varied_experiments():
    """Experiments with several population or data sizes."""
    return [e for e in EXPERIMENTS.values() if len(cells(e)) > 1]


def scaling_files(pattern):
    """A file of every factorised model that is fitted at several sizes."""
    names = fits_of(varied_experiments(), lambda m: m["family"] == "cnn_factorized")
    return [pattern.format(**one) for one in names]


def recording_experiment(dataset):
    """The first experiment on a dataset."""
    return next(e for e in EXPERIMENTS.values() if dataset in e["datasets"])


def recording_files(pattern):
    """Input function: a file of every model of the first experiment on a recorded dataset."""

    def files(wildcards):
        experiment = recording_experiment(wildcards.dataset)
        return [
            largest(pattern, experiment, wildcards.dataset, model)
            for model in experiment["models"]
        ]

    return files


def shown_model(dataset):
    """The model whose neurons the figure of a recording shows: factorised, or else the last one."""
    experiment = recording_experiment(dataset)
    return model_of(experiment, "cnn_factorized") or experiment["models"][-1]


def recording_model(pattern):
    """Input function: a file of the shown model."""

    def file(wildcards):
        dataset = wildcards.dataset
        return largest(
            pattern, recording_experiment(dataset), dataset, shown_model(dataset)
        )

    return file


def stimulus_files(wildcards):
    """Input function: files that a simulation takes its images and feature space from, by role."""
    definition = config["datasets"][wildcards.dataset]
    return {
        role: f"{RUN}/data/{source}.nc" if role == "recording" else source
        for role, source in simulation_inputs(definition).items()
    }


def table1_names(section):
    """Datasets or models of the experiments that Table 1 is made of, in order."""
    of_table = (e for e in EXPERIMENTS.values() if e["figure"] == "table1")
    return list(dict.fromkeys(name for e in of_table for name in e[section]))


def if_barcodes(source):
    """Input function: a file, given as a pattern or a function, of models with barcodes; else nothing."""

    def file(wildcards):
        if not has_barcodes(config["models"][wildcards.model]):
            return []
        return source(wildcards) if callable(source) else source.format(**wildcards)

    return file


def explored_fits():
    """What the explorer shows: all that is fitted to datasets of which a model has barcodes."""
    datasets = {one["dataset"] for one in fits_of(EXPERIMENTS.values(), has_barcodes)}
    return [one for one in fits_of(EXPERIMENTS.values()) if one["dataset"] in datasets]


def explored(pattern):
    """A file of everything that the explorer shows."""
    return [pattern.format(**names) for names in explored_fits()]
