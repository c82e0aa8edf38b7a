/* Panel: noise grows; the exact estimate, what is known of each attribute, and on request a network's estimate. */
"use strict";
(() => {
  const { parts, paint, fillTable, soon, noiseSlider, normals } = molrgLive;

  molrgLive.noisePanel = (box, face) => {
    const part = parts(box), { law } = face;
    let seed = 1, network = null;

    function estimate() {
      const level = sigma(), z = normals(law.n, seed), began = performance.now();
      const noisy = face.picture.map((value, i) => value + level.sigma * z[i]);
      const { weights, estimate: exact } = law.denoise(noisy, level.sigma);
      molrgLive.timing.exact = performance.now() - began;
      paint(part("clean"), face.picture);
      paint(part("noisy"), noisy, Math.max(1, level.sigma));
      paint(part("estimate"), exact);
      fillTable(part("table"), law.data, law.attributes(weights), face.chosen);
      part("status").textContent = `Largest probability of a kind, of ${law.kinds}: ${weights.reduce((a, b) => Math.max(a, b), 0).toFixed(2)}.`;
      if (network) network(noisy, level, exact);
    }

    const show = soon(estimate), sigma = noiseSlider(part("noise"), part("noise-text"), law.data.levels, 1, show);
    part("again").addEventListener("click", () => { seed += 1; show(); });
    face.whenChanged(show);
    show();
    if (law.data.network) molrgLive.networkPart(part, face, (estimator) => { network = estimator; show(); });
  };
})();
