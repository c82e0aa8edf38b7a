/* Panel: from noise to a new face, by DDIM with the exact denoiser. */
"use strict";
(() => {
  const { parts, paint, fillTable, FACTORS, normals } = molrgLive;
  const STEPS = 24, FIRST = 40, LAST = 0.05, BEND = 7;  // noise levels are evenly spaced in their seventh root

  const levels = () => Array.from({ length: STEPS + 1 }, (_, i) =>
    (FIRST ** (1 / BEND) + i / STEPS * (LAST ** (1 / BEND) - FIRST ** (1 / BEND))) ** BEND);

  /** DDIM with s = 1: every step holds the estimate and the noise that it implies. */
  async function* reverse(law, seed) {
    const sigmas = levels();
    let x = normals(law.n, seed).map((z) => FIRST * z);
    for (let i = 0; i < sigmas.length; i++) {
      const posterior = law.denoise(x, sigmas[i]);
      yield { step: i + 1, of: sigmas.length, sigma: sigmas[i], x, ...posterior };
      const ratio = (sigmas[i + 1] || 0) / sigmas[i];
      x = x.map((value, j) => posterior.estimate[j] + ratio * (value - posterior.estimate[j]));
      await new Promise((resume) => setTimeout(resume, 30));  // the page may draw, and answer to the reader
    }
  }

  molrgLive.samplePanel = (box, face) => {
    const part = parts(box), { law } = face;
    let wanted = 0, drawn = null;

    function show({ step, of, sigma, x, weights, estimate }) {
      paint(part("noisy"), x, Math.max(1, sigma));
      paint(part("estimate"), estimate);
      fillTable(part("table"), law.data, law.attributes(weights));
      part("progress").textContent = `step ${step} of ${of}, σ = ${sigma.toPrecision(2)}`;
    }

    async function sample() {
      const mine = ++wanted;
      part("take").disabled = true;
      part("status").textContent = "On its way from noise.";
      for await (drawn of reverse(law, Date.now())) {
        if (mine !== wanted) return;  // a newer face was asked for
        show(drawn);
      }
      part("take").disabled = false;
      part("status").textContent = "A new face, drawn from noise.";
    }

    /** The drawn face becomes the face of the other panels: its likeliest kind, its expected colours. */
    function take() {
      const chosen = law.attributes(drawn.weights).map((p) => p.indexOf(Math.max(...p)));
      face.set(chosen, Float64Array.from(law.colours(drawn)));
      part("status").textContent = "This face is now the one at the top of the page.";
    }

    part("sample").addEventListener("click", sample);
    part("take").addEventListener("click", take);
    paint(part("noisy"), normals(law.n, 1));
    paint(part("estimate"), new Float64Array(3 * law.pixels));
  };
  Object.assign(molrgLive, { reverse });
})();
