/* Garments from noise: DDIM with the network, and a slider back through its steps. */
"use strict";
(() => {
  const { normals, ddim } = molrgLive, { draw, grey, largest } = molrgLive.garments;
  const PAUSE = 50;  // milliseconds after a step, else it is over before it is seen

  /** @param want runs a job, @param network promises the session */
  molrgLive.garmentSamples = (part, scene, want, network) => {
    let number = 0, frames = [];
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

    function show(i) {
      const { t, x_t, x0_hat } = frames[i];
      draw(part("sample-noisy"), grey(x_t, Math.min(3, largest(x_t))));
      draw(part("sample-denoised"), grey(x0_hat));
      part("step").value = i;
      part("step-text").textContent = `${i + 1} of ${frames.length}, t = ${t.toFixed(2)}`;
    }

    const sample = (name) => async (stale) => {
      const { sample: grid, shape } = scene, unet = await network();
      const start = Float32Array.from(normals(shape.reduce((a, b) => a * b), name), (z) => z * grid.gamma[0]);
      frames = [];
      part("step").disabled = true;
      part("sample-status").textContent = `Sample ${name}: on its way from noise.`;
      for await (const step of ddim(unet, start, shape, grid)) {
        if (stale()) break;
        frames.push(step);
        part("step").max = frames.length - 1;
        show(frames.length - 1);
        if (!still) await new Promise((done) => setTimeout(done, PAUSE));
      }
      part("step").disabled = frames.length === 0;
      const end = stale() ? "was left" : "is done";
      part("sample-status").textContent = `Sample ${name} ${end} after ${frames.length} steps. The slider goes back through them.`;
    };

    part("sample").addEventListener("click", () => want(sample(++number)));
    part("step").addEventListener("input", () => show(Number(part("step").value)));
  };
})();
