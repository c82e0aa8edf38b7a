/* What the panels share: finding their parts, words for values, pictures, tables, and drawing once a frame. */
"use strict";
(() => {
  const WORDS = { none: "no beard", open: "open eyes", happy: "happy eyes", bigSmile: "big smile", bobBangs: "bob with bangs",
    bobCut: "bob", curlyHighTop: "curly high top", extraLong: "extra long", shortCombover: "short",
    sideShave: "side shave", straightBun: "bun" };
  const word = (value) => WORDS[value] || value;

  /** The element of a panel with a name: data-part="name". */
  const parts = (box) => (name) => box.querySelector(`[data-part="${name}"]`);

  /** Draw three channels, row by row, on a canvas; values beyond [-scale, scale] are cut off. */
  function paint(canvas, x, scale = 1) {
    const { width, height } = canvas, pixels = width * height;
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let i = 0; i < pixels; i++) {
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = 127.5 * (Math.min(1, Math.max(-1, x[c * pixels + i] / scale)) + 1);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  /** The three likeliest values of each attribute as bars; those of a known truth are framed. */
  function fillTable(body, { names, values }, probabilities, truth = null) {
    body.innerHTML = names.map((name, axis) => {
      const best = probabilities[axis].map((p, i) => [p, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      const bars = best.map(([p, i]) => {
        const own = truth && i === truth[axis];
        return `<span class="molrg-faces-bar${own ? " own" : ""}" style="--share:${p.toFixed(4)}">`
          + `${word(values[axis][i])} ${(100 * p).toFixed(0)}\u00a0%${own ? '<span class="visually-hidden"> (true)</span>' : ""}</span>`;
      });
      return `<tr><th scope="row">${name}</th><td><div class="molrg-faces-bars">${bars.join("")}</div></td></tr>`;
    }).join("");
  }

  /** A number with a true minus sign. */
  const signed = (value, digits = 1) => {
    const text = Math.abs(value).toFixed(digits);
    return (value < 0 && Number(text) !== 0 ? "−" : "") + text;
  };

  /** A function that does its work once in the next frame, however often it is called before. */
  function soon(work) {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; work(); });
    };
  }

  /** A slider through the noise levels; returns the level chosen: its sigma, and its time as a network counts it. */
  function noiseSlider(slider, output, { sigma, time }, start, changed) {
    const at = () => Number(slider.value);
    const tell = () => {
      output.textContent = sigma[at()].toPrecision(2);
      slider.setAttribute("aria-valuetext", `sigma ${output.textContent}`);
    };
    Object.assign(slider, { min: 0, max: sigma.length - 1, step: 1 });
    slider.value = sigma.findIndex((level) => level >= start);
    slider.addEventListener("input", () => { tell(); changed(); });
    tell();
    return () => ({ sigma: sigma[at()], time: time[at()] });
  }

  Object.assign(molrgLive, { word, parts, paint, fillTable, signed, soon, noiseSlider });
})();
