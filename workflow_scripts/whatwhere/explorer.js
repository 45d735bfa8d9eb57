// Runs when a user selects something in the explorer; the arguments are those of `page` in explorer.py.
const { dataset: dataset_choice, model: model_choice, other: other_choice, range: range_choice } = controls;
const { name: name_choice, types: types_choice, clusters: clusters_choice } = controls;
const of = (dataset, model) => stores[keys.findIndex(([d, m]) => d === dataset && m === model)].data;

function unique(values) {
  return [...new Set(values)].filter((value) => value !== "").sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
}

function filter() {
  const data = source.data;
  const [low, high] = range_choice.value;
  const name = name_choice.value.trim();
  const wanted = (choice, value) => choice.value.length === 0 || choice.value.includes(value);
  const indices = [];
  for (let i = 0; i < data.neuron.length; i++) {
    // Neurons without correlation are shown as long as the slider excludes nothing.
    const r = data.correlation[i];
    const inside = Number.isFinite(r) ? low <= r && r <= high : low <= -1 && high >= 1;
    if (inside && wanted(types_choice, data.type[i]) && wanted(clusters_choice, data.cluster[i]) && data.neuron_id[i].includes(name)) {
      indices.push(i);
    }
  }
  kept.indices = indices;
  const visible = new Set(indices);
  source.selected.indices = source.selected.indices.filter((i) => visible.has(i));
  source.change.emit();
  say();
}

function say() {
  const selected = source.selected.indices.length;
  count.text = `<b>${kept.indices.length}</b> of ${source.data.neuron.length} neurons shown, <b>${selected}</b> selected`;
}

function show_known() {
  // Columns, maps and words for what is known of the model's neurons; nothing is shown empty.
  const data = source.data;
  const known = (name) => Array.from(data[name]).some((value) => (typeof value === "string" ? value !== "" : Number.isFinite(value)));
  // A table that gets other columns is made anew, and keeps its order only if it is told.
  const view = Bokeh.index.find_one(table);
  const order = view.grid.getSortColumns().map(({ columnId, sortAsc }) => [view.grid.getColumns()[view.grid.getColumnIndex(columnId)].field, sortAsc]);
  for (const one of table.columns) one.visible = known(one.field);
  const ids = new Map(view.grid.getColumns().map(({ field, id }) => [field, id]));
  view.grid.setSortColumns(order.filter(([field]) => ids.has(field)).map(([field, sortAsc]) => ({ columnId: ids.get(field), sortAsc })));
  for (const [name, map] of Object.entries(maps)) map.visible = known(name) && (name !== "other" || other_choice.value !== model_choice.value);
  maps.other.below[0].axis_label = other_choice.value;
  maps.other.left[0].axis_label = model_choice.value;
  const named = { look: "masks", want: "exciting images", code: "barcodes", row: "locations" };
  const lacks = Object.keys(named).filter((name) => !known(name)).map((name) => named[name]);
  const words = document.createElement("span");
  words.textContent = model_choice.value;
  const sentences = lacks.length ? [`The model <i>${words.innerHTML}</i> has no ${lacks.join(", no ")}.`] : [];
  if (!known("ceiling")) sentences.push("The noise ceiling is not known: test images of this dataset have no repeats with noise.");
  notice.text = sentences.join(" ");
  notice.visible = sentences.length > 0;
}

function change_model() {
  // While the dataset changes, one of the models is still the old one's.
  const models = models_of[dataset_choice.value];
  if (!models.includes(model_choice.value) || !models.includes(other_choice.value)) return;
  const choice = JSON.stringify([dataset_choice.value, model_choice.value, other_choice.value]);
  if (source.tags[0] === choice) return;
  source.tags = [choice];
  const data = of(dataset_choice.value, model_choice.value);
  const compared = of(dataset_choice.value, other_choice.value);
  const place = new Map(Array.from(compared.neuron, (neuron, i) => [neuron, i]));
  const other = Array.from(data.neuron, (neuron) => (place.has(neuron) ? compared.correlation[place.get(neuron)] : NaN));
  // The same neurons stay selected, wherever they stand in the other model.
  const selected = new Set(source.selected.indices.map((i) => source.data.neuron[i]));
  source.selected.indices = [];
  kept.indices = [];
  source.data = { ...data, other };
  show_known();
  types_choice.options = unique(data.type);
  clusters_choice.options = unique(data.cluster);
  types_choice.value = types_choice.value.filter((value) => types_choice.options.includes(value));
  clusters_choice.value = clusters_choice.value.filter((value) => clusters_choice.options.includes(value));
  filter();
  source.selected.indices = kept.indices.filter((i) => selected.has(data.neuron[i]));
  show_selected();
}

function change_dataset() {
  const models = models_of[dataset_choice.value];
  source.selected.indices = [];
  for (const choice of [model_choice, other_choice]) {
    choice.options = models;
  }
  const pictured = models.find((model) => of(dataset_choice.value, model).code.some((code) => code !== ""));
  const selected = pictured ?? models[0];
  // Compared with the best of the others.
  const mean = (model) => {
    const known = Array.from(of(dataset_choice.value, model).correlation).filter(Number.isFinite);
    return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : -2;
  };
  const others = models.filter((model) => model !== selected).sort((a, b) => mean(b) - mean(a));
  other_choice.value = others[0] ?? selected;
  model_choice.value = selected;
  change_model();
}

function show_selected() {
  say();
  const data = source.data;
  const [i] = source.selected.indices;
  if (i === undefined) {
    detail.text = "Select a neuron to see its responses to test images.";
    for (const one of [plot, in_time, course]) one.visible = false;
    return;
  }
  const image = (code, style) => (code ? `<img src="data:image/png;base64,${code}" style="image-rendering:pixelated;${style}"/>` : "");
  const number = (value) => (Number.isFinite(value) ? value.toFixed(2) : "not known");
  const words = document.createElement("span");
  words.textContent = `Neuron ${data.neuron_id[i]}`;
  detail.text = `<b style="font-size:16px">${words.innerHTML}</b><br>
    correlation ${number(data.correlation[i])}, ceiling ${number(data.ceiling[i])}<br>
    ${image(data.look[i], "width:148px")} ${image(data.want[i], "width:148px")}<br>
    ${image(data.code[i], "width:300px;height:24px")}`;
  const movie = Number.isFinite(data.bin_seconds[i]);
  plot.visible = !movie;
  in_time.visible = movie;
  course.visible = data.course[i].length > 0;
  points.data = { measured: data.measured[i], predicted: data.predicted[i] };
  const draw = (figure, name, y, x) => {
    figure.renderers.find((one) => one.name === name).data_source.data = { x: Array.from(y, (_, at) => x(at)), y };
  };
  for (const name of ["measured", "predicted"]) draw(in_time, name, data[name][i], (bin) => bin * data.bin_seconds[i]);
  draw(course, "weights", data.course[i], (lag) => lag * data.frame_ms[i] + data.latency_ms[i]);
}

function export_selection() {
  const data = source.data;
  const rows = source.selected.indices.length ? source.selected.indices : kept.indices;
  const names = ["neuron", "neuron_id", "type", "cluster", "correlation", "ceiling", "other", "feve", "confirmed", "row", "column"];
  const cell = (value) => {
    const text = Number.isNaN(value) ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const head = ["dataset", "model", "compared_with", ...names.map((name) => (name === "other" ? "correlation_compared" : name))];
  const where = [dataset_choice.value, model_choice.value, other_choice.value];
  const lines = [...rows].sort((a, b) => a - b).map((i) => [...where, ...names.map((name) => data[name][i])].map(cell).join(","));
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([[head.join(","), ...lines].join("\n") + "\n"], { type: "text/csv" }));
  link.download = "neurons.csv";
  link.click();
}
