/* Networks in the browser: ONNX Runtime Web from the site's own files, and DDIM with it.

   A network is a denoiser with inputs x_t, the time as the network counts it, and the scales of signal and noise. */
"use strict";
(() => {
  const { handed, script, unpack } = molrgLive;
  const LEAST_MEMORY = 1;  // GB
  const sessions = {};
  let runtime = null;

  async function loadRuntime() {
    if (navigator.deviceMemory < LEAST_MEMORY) throw new Error("this device has too little memory for a network");
    if (!window.WebAssembly) throw new Error("this browser is too old (WebAssembly is needed)");
    await Promise.all([script("vendor/ort/ort.wasm.min.js"), script("vendor/ort/ort-wasm.js")]);
    const module = new Blob([await unpack(handed.runtime.mjs, "gzip")], { type: "text/javascript" });
    const binary = await unpack(handed.runtime.wasm, "gzip");
    Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: binary.buffer, wasmPaths: { mjs: URL.createObjectURL(module) } });
    delete handed.runtime;  // the text is not needed again
  }

  async function loadNetwork(name, weights) {
    runtime ??= loadRuntime().catch((error) => { runtime = null; throw error; });
    await Promise.all([runtime, script(`live/${name}-network.js`)]);
    const network = handed.networks[name];
    delete handed.networks[name];
    if (network.weights !== weights) throw new Error("network and page belong to different weights");
    return ort.InferenceSession.create(await unpack(network.onnx, "gzip"), { executionProviders: ["wasm"] });
  }

  /** A session of a network, loaded once; what failed is tried again at the next call. */
  function session(name, weights) {
    sessions[name] ??= loadNetwork(name, weights).catch((error) => { delete sessions[name]; throw error; });
    return sessions[name];
  }

  /** The network's estimate of x_0 from one picture of a shape (channels, height, width). */
  async function denoise(network, x_t, shape, { time, s, gamma }) {
    const scalar = (value) => new ort.Tensor("float32", [value], [1]);
    const inputs = { x_t: new ort.Tensor("float32", x_t, [1, ...shape]), time: scalar(time), s: scalar(s), gamma: scalar(gamma) };
    return (await network.run(inputs)).x0_hat.data;
  }

  /** DDIM, as molrg.sampling.ddim: every step holds x0_hat and the noise that it implies. */
  async function* ddim(network, x_t, shape, { t, time, s, gamma }) {
    for (let i = 0; i + 1 < t.length; i++) {
      const x0_hat = await denoise(network, x_t, shape, { time: time[i], s: s[i], gamma: gamma[i] }), keep = gamma[i + 1] / gamma[i];
      x_t = x_t.map((x, j) => s[i + 1] * x0_hat[j] + keep * (x - s[i] * x0_hat[j]));
      yield { t: t[i + 1], x_t, x0_hat };
      await new Promise((done) => setTimeout(done));  // the page may answer to the reader in between
    }
  }

  Object.assign(molrgLive, { session, denoise, ddim });
})();
