/* The live face: the exact denoiser of the mixture of faces, in plain arrays.
   The mathematics comes first and knows no page; the page follows at the end. */
(function (root) {
  "use strict";

  const PARTS = 3, FACTORS = 7;          // skin, hair, shirt; their seven colour factors
  const PART_OF = [0, 1, 1, 1, 2, 2, 2]; // the part that a factor colours

  /** The bytes behind base64 of zlib. */
  async function unpack(text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** Undo the differences along each attribute, modulo 256 (molrg.images.faces.maps). */
  function undoDifferences(table, shape, entries) {
    let inner = entries;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const length = shape[axis], block = inner * length;
      for (let start = 0; start < table.length; start += block)
        for (let row = 1; row < length; row++)
          for (let i = 0; i < inner; i++) table[start + row * inner + i] += table[start + i];
      inner = block;
    }
    return table;
  }

  /** Solve M z = y for a small symmetric positive definite M; returns z and log det M. */
  function solve(M, y) {
    const d = y.length, L = M.map((row) => row.slice()), z = y.slice();
    let logDeterminant = 0;
    for (let j = 0; j < d; j++) {
      for (let i = j; i < d; i++) {
        let sum = L[i][j];
        for (let k = 0; k < j; k++) sum -= L[i][k] * L[j][k];
        L[i][j] = i === j ? Math.sqrt(sum) : sum / L[j][j];
      }
      logDeterminant += 2 * Math.log(L[j][j]);
    }
    for (let i = 0; i < d; i++) {
      for (let k = 0; k < i; k++) z[i] -= L[i][k] * z[k];
      z[i] /= L[i][i];
    }
    for (let i = d - 1; i >= 0; i--) {
      for (let k = i + 1; k < d; k++) z[i] -= L[k][i] * z[k];
      z[i] /= L[i][i];
    }
    return [z, logDeterminant];
  }

  /** The mixture: maps of every kind, and what can be computed of them once. */
  class Faces {
    static async of(data) {
      const raw = await unpack(data.maps);
      return new Faces(undoDifferences(raw, data.shape, 6 * data.size * data.size), data);
    }

    constructor(maps, data) {
      this.maps = maps; this.data = data; this.size = data.size;
      this.pixels = data.size * data.size; this.n = 3 * this.pixels;
      this.kinds = data.shape.reduce((a, b) => a * b, 1);
      this.noise = data.noise;
      this.known = Array.from({ length: this.kinds }, (_, k) => this.prepare(k));
    }

    /** Where layer l of kind k begins: red, green, blue of the base; skin, hair, shirt. */
    at(k, l) { return (6 * k + l) * this.pixels; }

    /** Gram matrix of the columns, their products with the mean, and the mean's square. */
    prepare(k) {
      const mean = this.picture(k, new Float64Array(FACTORS));
      const between = [];
      for (let p = 0; p < PARTS; p++) {
        between.push([]);
        for (let q = 0; q < PARTS; q++) {
          let sum = 0;
          const a = this.at(k, 3 + p), b = this.at(k, 3 + q);
          for (let i = 0; i < this.pixels; i++) sum += this.maps[a + i] * this.maps[b + i];
          between[p].push(sum / 65025);
        }
      }
      const steps = this.data.steps, gram = [];
      for (let f = 0; f < FACTORS; f++) {
        gram.push([]);
        for (let g = 0; g < FACTORS; g++) {
          const p = PART_OF[f], q = PART_OF[g];
          let inner = 0;
          for (let c = 0; c < 3; c++) inner += steps[f][p][c] * steps[g][q][c];
          gram[f].push(4 * inner * between[p][q]);
        }
      }
      let square = 0;
      for (const value of mean) square += value * value;
      return { gram, square, columns: this.products(k, mean).columns };
    }

    /** x . mean of a kind, and x . each of its columns. */
    products(k, x) {
      const { middle, steps } = this.data, D = [[0, 0, 0], [0, 0, 0], [0, 0, 0]];
      let base = 0, total = 0;
      for (let c = 0; c < 3; c++) {
        const from = c * this.pixels, b = this.at(k, c);
        const s = this.at(k, 3), h = this.at(k, 4), t = this.at(k, 5);
        let skin = 0, hair = 0, shirt = 0, own = 0, all = 0;
        for (let i = 0; i < this.pixels; i++) {
          const value = x[from + i];
          own += value * this.maps[b + i];
          skin += value * this.maps[s + i];
          hair += value * this.maps[h + i];
          shirt += value * this.maps[t + i];
          all += value;
        }
        base += own / 255; total += all;
        D[0][c] = skin / 255; D[1][c] = hair / 255; D[2][c] = shirt / 255;
      }
      let mean = 2 * base - total;
      for (let p = 0; p < PARTS; p++) for (let c = 0; c < 3; c++) mean += 2 * middle[p][c] * D[p][c];
      const columns = new Array(FACTORS);
      for (let f = 0; f < FACTORS; f++) {
        const p = PART_OF[f];
        columns[f] = 2 * (steps[f][p][0] * D[p][0] + steps[f][p][1] * D[p][1] + steps[f][p][2] * D[p][2]);
      }
      return { mean, columns };
    }

    /** The picture of a kind with given colour factors, added with a weight. */
    add(out, k, factors, weight) {
      const { middle, steps } = this.data;
      for (let c = 0; c < 3; c++) {
        const colour = [0, 1, 2].map((p) => middle[p][c]);
        for (let f = 0; f < FACTORS; f++) colour[PART_OF[f]] += factors[f] * steps[f][PART_OF[f]][c];
        const b = this.at(k, c), s = this.at(k, 3), h = this.at(k, 4), t = this.at(k, 5);
        const from = c * this.pixels, m = this.maps;
        const scale = 2 * weight / 255;
        for (let i = 0; i < this.pixels; i++)
          out[from + i] += scale * (m[b + i] + colour[0] * m[s + i] + colour[1] * m[h + i] + colour[2] * m[t + i]) - weight;
      }
      return out;
    }

    picture(k, factors) { return this.add(new Float64Array(this.n), k, factors, 1); }

    /** The posterior of the kinds, and the posterior mean, of x = x_0 + sigma noise. */
    denoise(x, sigma) {
      const v = sigma * sigma + this.noise * this.noise;
      let square = 0;
      for (const value of x) square += value * value;
      const scores = new Float64Array(this.kinds), factors = new Array(this.kinds);
      for (let k = 0; k < this.kinds; k++) {
        const { gram, square: own, columns } = this.known[k];
        const seen = this.products(k, x);
        const y = seen.columns.map((value, f) => value - columns[f]);
        const M = gram.map((row, f) => row.map((value, g) => value / v + (f === g ? 1 : 0)));
        const [z, logDeterminant] = solve(M, y);
        let explained = 0;
        for (let f = 0; f < FACTORS; f++) explained += y[f] * z[f] / v;
        scores[k] = -0.5 * ((square - 2 * seen.mean + own - explained) / v + logDeterminant);
        factors[k] = z.map((value) => value / v);
      }
      const weights = softmax(scores);
      const estimate = new Float64Array(this.n), share = sigma * sigma / v;
      for (let k = 0; k < this.kinds; k++)
        if (weights[k] > 1e-9) this.add(estimate, k, factors[k], weights[k]);
      for (let i = 0; i < this.n; i++) estimate[i] = share * estimate[i] + (1 - share) * x[i];
      return { weights, estimate };
    }

    /** Probability of every value of every attribute, from that of the kinds. */
    attributes(weights) {
      const shape = this.data.shape;
      return shape.map((length, axis) => {
        const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
        const sums = new Array(length).fill(0);
        for (let k = 0; k < this.kinds; k++) sums[Math.floor(k / inner) % length] += weights[k];
        return sums;
      });
    }
  }

  function softmax(scores) {
    const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  }

  /** Standard normal numbers from a seed, so that a picture of noise can be shown again. */
  function normals(count, seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    return Float64Array.from({ length: count }, () =>
      Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
  }

  root.molrgFacesMath = { Faces, normals, solve, undoDifferences, unpack };
  if (typeof document === "undefined") return;

  // ---- the page ------------------------------------------------------------------------

  const WORDS = { none: "no beard", open: "open eyes", bigSmile: "big smile", bobBangs: "bob with bangs",
    bobCut: "bob", curlyHighTop: "curly high top", extraLong: "extra long", shortCombover: "short",
    sideShave: "side shave", straightBun: "bun" };
  const STEPS = 24, FIRST = 40, LAST = 0.05;

  function paint(canvas, x, size, scale) {
    const context = canvas.getContext("2d"), image = context.createImageData(size, size);
    for (let i = 0; i < size * size; i++) {
      for (let c = 0; c < 3; c++)
        image.data[4 * i + c] = 127.5 * (Math.min(1, Math.max(-1, x[c * size * size + i] / scale)) + 1);
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  function page(box, faces) {
    const part = (name) => box.querySelector(`[data-part="${name}"]`);
    const { names, values, colours, shape } = faces.data;
    let seed = 1, ticket = 0;
    const chosen = [2, 1, 0, 1], factors = new Float64Array(FACTORS);

    names.forEach((name, axis) => {
      const select = part(name);
      values[axis].forEach((value, i) => select.add(new Option(WORDS[value] || value, i, i === chosen[axis], i === chosen[axis])));
      select.addEventListener("change", () => { chosen[axis] = Number(select.value); show(); });
    });
    const colour = part("colour"), amount = part("amount");
    colours.forEach((name, f) => colour.add(new Option(name, f)));
    colour.addEventListener("change", () => { amount.value = factors[Number(colour.value)]; show(); });
    amount.addEventListener("input", () => { factors[Number(colour.value)] = Number(amount.value); show(); });
    part("noise").addEventListener("input", show);
    part("again").addEventListener("click", () => { seed += 1; show(); });
    part("sample").addEventListener("click", sample);

    const sigma = () => Math.pow(10, Number(part("noise").value));
    const kind = () => chosen.reduce((number, value, axis) => number * shape[axis] + value, 0);

    function table(probabilities, truth) {
      return names.map((name, axis) => {
        const best = probabilities[axis].map((p, i) => [p, i]).sort((a, b) => b[0] - a[0]).slice(0, 3);
        const cells = best.map(([p, i]) => {
          const own = truth && i === truth[axis];
          return `<span class="molrg-faces-bar${own ? " own" : ""}" style="--share:${p}">` +
            `${WORDS[values[axis][i]] || values[axis][i]} ${(100 * p).toFixed(0)} %</span>`;
        });
        return `<tr><th scope="row">${name}</th><td>${cells.join("")}</td></tr>`;
      }).join("");
    }

    function show() {
      const level = sigma(), clean = faces.picture(kind(), factors), noise = normals(faces.n, seed);
      const noisy = clean.map((value, i) => value + level * noise[i]);
      const { weights, estimate } = faces.denoise(noisy, level);
      part("noise-text").textContent = level.toPrecision(2);
      part("amount-text").textContent = `${factors[Number(colour.value)].toFixed(1)} s.d.`;
      paint(part("clean"), clean, faces.size, 1);
      paint(part("noisy"), noisy, faces.size, Math.max(1, level));
      paint(part("estimate"), estimate, faces.size, 1);
      part("table").innerHTML = table(faces.attributes(weights), chosen);
      const largest = weights.reduce((a, b) => Math.max(a, b), 0);
      part("status").textContent = `Largest probability of a kind, of 768: ${largest.toFixed(2)}.`;
    }

    /** From noise to a face: Euler steps of the probability flow, with the exact denoiser. */
    async function sample() {
      const mine = ++ticket, levels = [];
      for (let i = 0; i <= STEPS; i++)
        levels.push(Math.pow(Math.pow(FIRST, 1 / 7) + i / STEPS * (Math.pow(LAST, 1 / 7) - Math.pow(FIRST, 1 / 7)), 7));
      let x = normals(faces.n, Date.now()).map((value) => value * FIRST);
      for (let i = 0; i <= STEPS && mine === ticket; i++) {
        const { weights, estimate } = faces.denoise(x, levels[i]);
        paint(part("sample-noisy"), x, faces.size, Math.max(1, levels[i]));
        paint(part("sample-estimate"), estimate, faces.size, 1);
        part("sample-status").textContent = i < STEPS ? `Step ${i + 1} of ${STEPS + 1}, σ = ${levels[i].toPrecision(2)}` : "A new face, drawn from noise.";
        if (i === STEPS) { part("sample-table").innerHTML = table(faces.attributes(weights)); break; }
        const ratio = levels[i + 1] / levels[i];
        x = x.map((value, j) => estimate[j] + ratio * (value - estimate[j]));
        await new Promise((resume) => setTimeout(resume, 0));
      }
    }

    part("controls").hidden = false;
    part("static").hidden = true;
    show();
  }

  async function start() {
    const box = document.getElementById("molrg-faces");
    if (!box) return;
    const status = box.querySelector('[data-part="status"]');
    try {
      if (typeof DecompressionStream === "undefined") throw new Error("this browser cannot unpack the maps");
      page(box, await Faces.of(root.molrgFacesData));
    } catch (error) {
      status.textContent = `The live face cannot run here (${error.message}); the picture shows what it does.`;
      status.classList.add("molrg-live-failed");
    }
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})(typeof window === "undefined" ? globalThis : window);
