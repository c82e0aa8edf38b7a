// A Plotly figure, its frames under a slider; plotly.js is loaded once a page, from the book.
function drawPlot(figure, spec) {
  const area = figure.querySelector(".molrg-plot-area");
  const input = figure.querySelector("input");
  const output = figure.querySelector("output");
  const names = (spec.frames || []).map((frame) => frame.name);
  const file = "_static/vendor/plotly-basic.min.js";
  const lab = document.getElementById("jupyter-config-data");
  const load = () => new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = lab
      ? JSON.parse(lab.textContent).baseUrl + "files/book/" + file
      : (document.documentElement.dataset.content_root ?? "../") + file;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
  });
  const show = () => {
    const name = names[input.value];
    output.textContent = name;
    input.setAttribute("aria-valuetext", name);
    return Plotly.animate(area, [name], {
      mode: "immediate",
      transition: {duration: 0},
      frame: {duration: 0, redraw: true},
    });
  };
  window.molrgPlotly ??= window.Plotly ? Promise.resolve() : load();
  window.molrgPlotly.then(async () => {
    area.textContent = "";
    await Plotly.newPlot(area, spec);
    if (!names.length) return;
    figure.querySelector(".molrg-slider").style.display = "flex";
    input.addEventListener("input", () => show().catch(() => {}));  // a newer position interrupts
    await show();
  }).catch((error) => console.warn(figure.id + ": the static picture stays,", error));
}
