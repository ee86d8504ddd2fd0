"use strict";
// What the controls of the page do. Charts are Vega's; here their parameters are set.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };

  const narrow = () => root.clientWidth < 600;

  // Colours -----------------------------------------------------------------------------------
  const dark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  const recoloured = (spec) => {
    let text = JSON.stringify(spec);
    if (dark()) for (const [light, other] of Object.entries(data.dark)) text = text.replaceAll(`"${light}"`, `"${other}"`);
    return JSON.parse(text);
  };
  const config = () => {
    const style = getComputedStyle(root);
    const [ink, soft, line] = ["--ink", "--soft", "--line"].map((name) => style.getPropertyValue(name).trim());
    const letters = { labelColor: soft, titleColor: ink, labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" };
    return {
      background: null, font: "system-ui, sans-serif",
      axis: { ...letters, gridColor: line, domainColor: soft, tickColor: soft, labelLimit: 320 },
      legend: { ...letters, symbolStrokeWidth: 2 }, view: { stroke: null },
    };
  };

  // Charts ------------------------------------------------------------------------------------
  const views = new Map();
  const signals = new Map();
  const draw = async (name) => {
    const spec = recoloured(data.charts[name]);
    const place = document.querySelector(`#chart-${name} .canvas`);
    views.get(name)?.finalize();
    place.replaceChildren();
    const chosen = config();
    delete spec.background;  // that of the page, on paper too
    place.style.background = dark() ? getComputedStyle(root).getPropertyValue("--back") : "";
    if (narrow()) {
      for (const legend of spec.legends ?? []) legend.columns = 1;
      // Parts of a long name stand below each other, and rows are apart for it.
      const rows = spec.signals?.find(({ name }) => name === "y_step");
      if (rows) rows.value = 58;
      for (const axis of spec.axes ?? []) {
        axis.labelLimit = 160;
        if (!rows || axis.scale !== "y" || axis.labels === false) continue;
        const lines = "split(replace(datum.label, ' − ', ' · − '), ' · ')";
        axis.labelFontSize = 11;
        axis.encode = { labels: { update: { text: { signal: lines }, dy: { signal: `-6.5 * (length(${lines}) - 1)` } } } };
      }
    }
    const { view } = await vegaEmbed(place, spec, {
      mode: "vega", renderer: "svg", actions: false, config: chosen, tooltip: { theme: dark() ? "dark" : "light" },
    });
    for (const [signal, value] of Object.entries(signals.get(name) ?? {})) view.signal(signal, value);
    views.set(name, view);
    const { picks } = place.parentElement.dataset;
    view.addEventListener("click", (event, item) => {
      const select = place.parentElement.querySelector(`[data-control="${picks}"] select`);
      if (!select || item?.datum?.[picks] === undefined) return;
      select.value = item.datum[picks];
      select.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await view.runAsync();
    // A screen reader gets the caption and the tables; single marks would be thousands of stops.
    const svg = place.querySelector("svg");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.parentElement.querySelector("figcaption").textContent);
    for (const part of svg.querySelectorAll("[role],[aria-label]")) {
      part.removeAttribute("role"); part.removeAttribute("aria-label"); part.removeAttribute("aria-roledescription");
    }
    place.dataset.drawn = "yes";
  };
  const set = async (name, signal, value) => {
    signals.set(name, { ...signals.get(name), [signal]: value });
    const view = views.get(name);
    if (view) await view.signal(signal, value).runAsync();
  };
  const charts = [...document.querySelectorAll("[data-chart]")];
  for (const chart of charts) {
    const name = chart.dataset.chart;
    for (const control of chart.querySelectorAll("[data-control]")) {
      control.addEventListener("change", (event) => {
        const value = event.target.value;
        void set(name, control.dataset.control, value);
        for (const other of data.together[name] ?? []) void set(other, control.dataset.control, value);
      });
    }
  }
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      void draw(entry.target.dataset.chart);
    }
  }, { rootMargin: "500px" });
  for (const chart of charts) watcher.observe(chart);
  const redraw = () => { for (const name of views.keys()) void draw(name); };
  addEventListener("beforeprint", () => { for (const chart of charts) if (!views.has(chart.dataset.chart)) void draw(chart.dataset.chart); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const theme = byId("theme");
  const named = () => { theme.textContent = dark() ? "Light" : "Dark"; theme.setAttribute("aria-pressed", String(dark())); };
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; named(); redraw(); });
  named();
  // Tables ------------------------------------------------------------------------------------
  const sorted = (table, column) => {
    const heads = [...table.tHead.rows[0].cells];
    const up = heads[column].getAttribute("aria-sort") !== "ascending";
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = (row) => {
      const cell = row.cells[column];
      const raw = cell.dataset.value ?? cell.textContent.trim();
      const value = Number.parseFloat(raw);
      return Number.isNaN(value) ? (cell.dataset.value === undefined ? raw : null) : value;
    };
    const rows = [...table.tBodies[0].rows].map((row) => [key(row), row]);
    const order = ([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);  // nothing comes last
      const found = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
      return up ? found : -found;
    };
    table.tBodies[0].append(...rows.sort(order).map(([, row]) => row));
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("table.sortable thead button");
    if (!button) return;
    const head = button.closest("th");
    sorted(head.closest("table"), [...head.parentElement.cells].indexOf(head));
  });

  // The main table ----------------------------------------------------------------------------
  const table = byId("result-table");
  const dialog = byId("run");
  const told = (title, pairs) => {
    byId("run-title").textContent = title;
    dialog.querySelector("dl").replaceChildren(
      ...pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
    dialog.showModal();
  };
  if (table) {
    const controls = Object.fromEntries([...byId("result-controls").querySelectorAll("[data-column]")]
      .map((label) => [label.dataset.column, label.querySelector("select")]));
    const fill = () => {
      const metric = controls.metric.value;
      const left = (row, name) => !controls[name].value || row[name] === controls[name].value;
      const rows = data.results.rows.filter((row) => ["network", "mode", "sampler"].every((name) => left(row, name)));
      const shown = data.results.datasets.filter(([name]) => !controls.dataset.value || name === controls.dataset.value);
      for (const head of table.tHead.rows[0].cells) {
        if (head.dataset.dataset) head.hidden = !shown.some(([name]) => name === head.dataset.dataset);
        head.removeAttribute("aria-sort");
      }
      table.tBodies[0].replaceChildren(...rows.map((row) => {
        const line = make("tr", {}, ...row.words.map((words, place) => make("td", place === 3 ? { class: "right" } : {}, words)));
        for (const [name] of data.results.datasets) {
          const found = row.scores[metric]?.[name];
          const cell = make("td", { class: "right", "data-value": found ? String(found.value) : "" });
          cell.hidden = !shown.some(([each]) => each === name);
          if (found) {
            const button = make("button", { type: "button", ...(found.best ? { class: "best" } : {}) }, found.text);
            const chosen = controls.metric.selectedOptions[0].textContent;
            const dataset = data.results.datasets.find(([each]) => each === name)[1];
            const title = [chosen, dataset, ...row.words.slice(0, 3)].join(", ");
            const runs = data.runs[`${name}/${row.network}/${row.mode}`] ?? [];
            button.addEventListener("click", () => told(title, [
              ["Value", found.text], ["Test cases", String(found.n)], ...runs.filter(([key]) => !key.startsWith("Scored, ") || key === `Scored, ${found.sampler}`)]));
            cell.append(button);
          } else cell.append("–");
          line.append(cell);
        }
        return line;
      }));
      table.caption.textContent = `${controls.metric.selectedOptions[0].textContent}: ${data.results.ways[metric]}`;
    };
    for (const select of Object.values(controls)) select.addEventListener("change", fill);
    if (narrow()) controls.dataset.value = data.results.datasets[0][0];  // one column of scores fits
    fill();
  }

  // Pictures ----------------------------------------------------------------------------------
  const picture = (source, words, kind = "") => make("figure", { class: kind },
    make("img", { src: source, alt: words }), make("figcaption", {}, words));
  if (data.explorer.length) {
    const [dataset, level] = ["explorer-dataset", "explorer-level"].map(byId);
    const show = () => {
      const one = data.explorer[Number(dataset.value)];
      level.max = String(one.steps.length - 1);
      const step = one.steps[Math.min(Number(level.value), one.steps.length - 1)];
      const words = `log SNR ${step.log_snr.toFixed(1).replace("-", "−")}, t = ${step.t}`;
      byId("explorer-place").textContent = words;
      level.setAttribute("aria-valuetext", words);
      byId("explorer-pictures").replaceChildren(
        picture(one.image, "image"), picture(one.reference, "reference"), picture(step.x_t, "xₜ, the noisy mask"),
        picture(step.oracle, "read by the best filter"),
        ...(one.networks ? [picture(step.without_image, "read by the network without the image"), picture(step.with_image, "read with the image")] : []));
      byId("explorer-numbers").replaceChildren(...step.numbers.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
      void set("bits", "here", -step.log_snr);
      const bits = document.querySelector("#chart-bits [data-control=dataset] select");
      if (bits && bits.value !== one.dataset) { bits.value = one.dataset; bits.dispatchEvent(new Event("change", { bubbles: true })); }
    };
    dataset.addEventListener("change", show);
    level.addEventListener("input", show);
    level.max = String(data.explorer[0].steps.length - 1);
    level.value = String(Math.floor(data.explorer[0].steps.length / 2));
    show();
  }
  if (data.cases.length) {
    let place = 0;
    const show = (step) => {
      place = (place + step + data.cases.length) % data.cases.length;
      const one = data.cases[place];
      byId("case-name").textContent = `${one.dataset}, ${one.case} (${place + 1} of ${data.cases.length})`;
      const row = (...parts) => make("div", { class: "row" }, ...parts);
      byId("case-pictures").replaceChildren(
        row(picture(one.image, "image"), picture(one.outlined, "image with the reference's outline"), picture(one.reference, "reference")),
        ...one.trainings.map((training) => row(
          make("h3", {}, `${training.title}, N = ${training.number}: Dice ${training.dice}`),
          picture(training.mean, "mean probability"),
          ...(training.spread ? [picture(training.spread, "standard deviation (white: 0.5)")] : []),
          ...training.draws.map((draw, number) => picture(draw, `draw ${number + 1}`, "small")))));
    };
    byId("previous").addEventListener("click", () => show(-1));
    byId("next").addEventListener("click", () => show(1));
    byId("gallery").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) { event.preventDefault(); show(step); }
    });
    show(0);
  }
  root.dataset.ready = "yes";
})();
