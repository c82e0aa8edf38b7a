/* The second half of the noise panel: a trained network's estimate beside the exact one, loaded on request. */
"use strict";
(() => {
  const { script, paint, rootMeanSquare } = molrgLive;
  const NAME = "faces";
  const apart = (a, b) => rootMeanSquare(a.map((value, i) => value - b[i])).toFixed(3);

  /** Estimates with the network, the newest wish last. */
  function estimator(network, part, face) {
    const { law } = face, failed = (error) => say(part, `The network stopped: ${error.message || error}.`, true);
    const want = molrgLive.oneAtATime(part("network"), failed);
    return (noisy, { sigma, time }, exact) => want(async () => {
      const s = 1 / Math.sqrt(1 + sigma * sigma), clean = face.picture, began = performance.now();
      const x_t = Float32Array.from(noisy, (value) => s * value);
      const x0_hat = await molrgLive.denoise(network, x_t, [3, law.size, law.size], { time, s, gamma: sigma * s });
      molrgLive.timing.network = performance.now() - began;
      paint(part("network-estimate"), x0_hat);
      say(part, `Distance a pixel, root mean square: exact estimate to face ${apart(exact, clean)}, `
        + `network’s to face ${apart(x0_hat, clean)}, network’s to exact ${apart(x0_hat, exact)}.`);
    });
  }

  function say(part, text, failed = false) {
    part("network-status").textContent = text;
    part("network-status").classList.toggle("molrg-live-failed", failed);
  }

  async function load(weights) {
    await Promise.all(["jobs", "runtime"].map((name) => script(`molrg-live/${name}.js`)));
    return molrgLive.session(NAME, weights);
  }

  /** Offers the network; `ready` is given an estimator once it is there. */
  molrgLive.networkPart = (part, face, ready) => {
    const button = part("network-load");
    part("network").hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      say(part, "Loading 8 MB from the book’s own files. This takes a few seconds, once.");
      try {
        const network = await load(face.law.data.network.weights);
        part("network-figure").hidden = false;
        part("network-static").hidden = true;
        button.hidden = true;
        ready(estimator(network, part, face));
      } catch (error) {
        say(part, `The network cannot run here: ${error.message || error}. The picture below, made beforehand, shows what it does.`, true);
        button.disabled = false;
      }
    });
  };
})();
