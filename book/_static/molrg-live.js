/* The live figure of live.md: a U-Net edits test images, and samples from noise, in the reader's browser.

   A page opened from a disk may not fetch, but may run scripts. Network, runtime and pictures are therefore scripts
   that call molrgLive.network, .runtime and .scene with text (python -m molrg export writes them). The two large ones
   are loaded when a control is first touched. All arrays are 28 x 28 images, row by row, as Float32Array in [-1, 1]. */
"use strict";
(() => {
  const root = document.getElementById("molrg-live");
  if (!root) return;
  const base = new URL(".", document.currentScript.src).href;
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const handed = {};
  const shown = {};  // arrays on the page by name: what the tests read
  window.molrgLive = {
    shown,
    network: (content) => { handed.network = content; },
    runtime: (content) => { handed.runtime = content; },
    scene: (content) => { handed.scene = content; begin(); },
  };

  // ---- what the scripts hand over ------------------------------------------------------------------------------
  const bytes = (text) => {
    const raw = atob(text), out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  };
  const unpack = async (text) => {
    const stream = new Blob([bytes(text)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };
  const fromHalf = (h) => {  // IEEE half precision
    const sign = h & 0x8000 ? -1 : 1, exponent = (h >> 10) & 31, fraction = h & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  };
  const image = {
    pixels: (text) => Float32Array.from(bytes(text), (p) => p / 127.5 - 1),
    half: (text) => Float32Array.from(new Uint16Array(bytes(text).buffer), fromHalf),
    direction: (text, scale) => Float32Array.from(new Int8Array(bytes(text).buffer), (v) => v * scale),
  };

  // ---- drawing -------------------------------------------------------------------------------------------------
  const BRIGHTER = [0, 114, 178], DARKER = [213, 94, 0];  // blue and orange of the book
  function draw(canvas, colour) {
    const context = canvas.getContext("2d"), side = canvas.width, picture = context.createImageData(side, side);
    for (let i = 0; i < side * side; i++) picture.data.set([...colour(i), 255], 4 * i);
    context.putImageData(picture, 0, 0);
  }
  const grey = (values, scale = 1) => (i) => Array(3).fill(127.5 * (1 + values[i] / scale));
  const signed = (values, scale) => (i) => {
    const share = Math.min(1, Math.abs(values[i]) / scale), end = values[i] > 0 ? BRIGHTER : DARKER;
    return end.map((c) => 255 + share * (c - 255));
  };
  const largest = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6);
  function show(name, values, paint = grey(values)) {
    shown[name] = values;
    draw(part(name), paint);
  }
  let place = "status";  // below the controls that were touched last
  const say = (text, failed = false) => {
    part(place).textContent = text;
    part(place).classList.toggle("molrg-live-failed", failed);
  };

  // ---- the network ---------------------------------------------------------------------------------------------
  const script = (path) => new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = base + path;
    element.onload = resolve;
    element.onerror = () => reject(new Error(`the file ${path} is missing or was blocked`));
    document.head.append(element);
  });
  let session = null;
  async function load() {
    if (session) return;
    if (!window.WebAssembly || !window.DecompressionStream) throw new Error("this browser is too old (WebAssembly and DecompressionStream are needed)");
    say("Loading about 8 MB from the book’s own files. This takes a few seconds, once.");
    await new Promise((done) => setTimeout(done, 30));  // let the sentence be seen
    await script("vendor/ort/ort.wasm.min.js");
    await script("vendor/ort/ort-wasm.js");
    await script(`live/${root.dataset.model}-network.js`);
    if (handed.network.weights !== handed.scene.weights) throw new Error("network and pictures belong to different weights");
    const module = new Blob([await unpack(handed.runtime.mjs)], { type: "text/javascript" });
    Object.assign(ort.env.wasm, {
      numThreads: 1,
      wasmBinary: (await unpack(handed.runtime.wasm)).buffer,
      wasmPaths: { mjs: URL.createObjectURL(module) },
    });
    session = await ort.InferenceSession.create(await unpack(handed.network.onnx), { executionProviders: ["wasm"] });
    handed.network = handed.runtime = null;  // the text is not needed again
  }
  async function denoise(x_t, time, s, gamma) {
    const [, height, width] = handed.scene.shape, scalar = (value) => new ort.Tensor("float32", [value], [1]);
    const inputs = { x_t: new ort.Tensor("float32", x_t, [1, 1, height, width]), time: scalar(time), s: scalar(s), gamma: scalar(gamma) };
    return (await session.run(inputs)).x0_hat.data;
  }
  /* DDIM, as molrg.sampling.ddim: every step holds x0_hat and the noise it implies. */
  async function* ddim(x_t, { t, time, s, gamma }) {
    for (let i = 0; i + 1 < t.length; i++) {
      const x0_hat = await denoise(x_t, time[i], s[i], gamma[i]), keep = gamma[i + 1] / gamma[i];
      x_t = x_t.map((x, j) => s[i + 1] * x0_hat[j] + keep * (x - s[i] * x0_hat[j]));
      yield { t: t[i + 1], x_t, x0_hat };
      await new Promise((done) => setTimeout(done));  // the page may answer to the reader in between
    }
  }

  // ---- one job at a time; a newer wish ends an older job at its next step --------------------------------------
  let wish = null, busy = false;
  async function want(job, told = "status") {
    wish = job;
    place = told;
    if (busy) return;
    busy = true;
    root.setAttribute("aria-busy", "true");
    try {
      while (wish) {
        await load();
        const current = wish;
        wish = null;
        await current(() => wish !== null);
      }
    } catch (error) {
      wish = null;
      say(`The live figure stopped: ${error.message || error}. The pictures made beforehand, below, show what it does.`, true);
    }
    busy = false;
    root.removeAttribute("aria-busy");
  }

  // ---- editing -------------------------------------------------------------------------------------------------
  let names = [];  // of the directions; the last is a random one, for comparison
  const unedited = new Map();  // picture -> what comes back at alpha = 0
  const chosen = (name) => Number(root.querySelector(`input[name="molrg-live-${name}"]:checked`).value);
  const alpha = () => Number(part("alpha").value);
  const signedText = (value) => (value < 0 ? "−" : "") + Math.abs(value).toFixed(1);
  async function run(x_t, stale, seen = () => {}) {
    let last = null;
    for await (const step of ddim(x_t, handed.scene.edit)) {
      if (stale()) return null;
      seen(step.x0_hat);
      last = step.x_t;
    }
    return last;
  }
  async function edit(stale) {
    const k = chosen("picture"), m = chosen("direction"), a = alpha(), entry = handed.scene.pictures[k], began = performance.now();
    const x_t = image.half(entry.x_t), v = image.direction(entry.directions[m], entry.scales[m]);
    const moved = x_t.map((x, i) => x + a * v[i]);
    show("noisy", moved, grey(moved, 3));
    if (!unedited.has(k)) {
      const back = await run(x_t, stale);
      if (!back) return;
      unedited.set(k, back);
    }
    const compare = (edited) => {
      const change = edited.map((x, i) => x - unedited.get(k)[i]);
      show("edited", edited);
      show("change", change, signed(change, 1));
      return change;
    };
    const edited = await run(moved, stale, compare);  // x0_hat on the way is a preview
    if (!edited) return;
    const size = Math.hypot(...compare(edited));
    say(`${entry.class}, ${names[m]}, α = ${signedText(a)}: the image changed by ${size.toFixed(1)} (Euclidean norm). `
      + `${Math.round(performance.now() - began)} ms.`);
  }
  function choose() {
    const entry = handed.scene.pictures[chosen("picture")], x_t = image.half(entry.x_t);
    show("test", image.pixels(entry.pixels));
    show("noisy", x_t, grey(x_t, 3));
    entry.directions.forEach((text, m) => {
      const v = image.direction(text, entry.scales[m]);
      draw(root.querySelector(`#molrg-live-direction-${m} + label canvas`), signed(v, largest(v)));
    });
  }
  function choices(name, labels) {
    labels.forEach((label, k) => {
      const item = document.createElement("div");
      item.innerHTML = `<input type="radio" id="molrg-live-${name}-${k}" name="molrg-live-${name}" value="${k}"${k ? "" : " checked"}>`
        + `<label for="molrg-live-${name}-${k}"><canvas width="28" height="28" aria-hidden="true"></canvas><span>${label}</span></label>`;
      part(`${name}s`).append(item);
    });
  }

  // ---- sampling ------------------------------------------------------------------------------------------------
  let drawn = 0, frames = [];
  function noise(seed) {  // mulberry32 and Box-Muller: the same number gives the same sample everywhere
    const uniform = () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let z = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
      return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
    };
    return Float32Array.from({ length: handed.scene.shape.reduce((a, b) => a * b) }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
  }
  function frame(i) {
    const { t, x_t, x0_hat } = frames[i];
    show("sample-noisy", x_t, grey(x_t, Math.min(3, largest(x_t))));
    show("sample-denoised", x0_hat);
    part("step").value = i;
    part("step-text").textContent = `${i + 1} of ${frames.length}, t = ${t.toFixed(2)}`;
  }
  const sample = (number) => async (stale) => {
    const { sample: grid } = handed.scene, still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    frames = [];
    part("step").max = grid.t.length - 2;
    part("step").disabled = true;
    say(`Sample ${number}: on its way from noise.`);
    for await (const step of ddim(noise(number).map((z) => z * grid.gamma[0]), grid)) {
      if (stale()) break;
      frames.push(step);
      frame(frames.length - 1);
      if (!still) await new Promise((done) => setTimeout(done, 50));  // else it is over before it is seen
    }
    part("step").disabled = frames.length === 0;
    part("step").max = Math.max(0, frames.length - 1);  // fewer than asked for, where it was left
    const end = stale() ? "was left" : "is done";
    part("sample-status").textContent = `Sample ${number} ${end} after ${frames.length} steps. The slider goes back through them.`;
  };

  // ---- controls ------------------------------------------------------------------------------------------------
  function begin() {
    const { pictures } = handed.scene;
    choices("picture", pictures.map((entry) => entry.class));
    names = pictures[0].directions.map((_, m) => (m < pictures[0].singular.length ? `direction ${m + 1}` : "random"));
    choices("direction", names);
    pictures.forEach((entry, k) => draw(root.querySelector(`#molrg-live-picture-${k} + label canvas`), grey(image.pixels(entry.pixels))));
    choose();
    part("pictures").addEventListener("change", () => { choose(); want(edit); });
    part("directions").addEventListener("change", () => want(edit));
    part("alpha").addEventListener("input", () => { part("alpha-text").textContent = signedText(alpha()); want(edit); });
    part("sample").addEventListener("click", () => want(sample(++drawn), "sample-status"));
    part("step").addEventListener("input", () => frame(Number(part("step").value)));
    part("controls").hidden = false;
  }
})();
