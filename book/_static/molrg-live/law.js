/* The law of the faces, and its exact denoiser, in plain arrays.

   A picture of kind k with colour factors a is  mean_k + sum_f a_f column_kf , where a is standard normal. A column is a
   map of where skin, hair or shirt shows, times a step in red, green and blue. Pictures are three channels, row by row.
   With x = x_0 + sigma z, and v = sigma^2 + noise^2, everything about kind k follows from its Gram matrix G and from
   y = columns . (x - mean):  E[a | x, k] = (G + v I)^-1 y, and the probability of k from the same small system. */
"use strict";
(() => {
  const { unpack, undoDifferences, takeDifferences, gatherDifferences, solve, softmax } = molrgLive;
  const FACTORS = 7;
  const PART_OF = [0, 1, 1, 1, 2, 2, 2];  // what a factor colours: skin, hair or shirt
  const LAYERS = 6;                       // red, green and blue of the base; maps of skin, hair and shirt
  const SLOTS = 10;                       // numbers a kind: one for the base, three channels of each of three parts
  const slot = (part, channel) => 1 + 3 * part + channel;

  class Faces {
    static async of(data) {
      const maps = await unpack(data.maps, "deflate");
      return new Faces(undoDifferences(maps, data.shape, LAYERS * data.size * data.size), data);
    }

    constructor(maps, data) {
      this.data = data;
      this.size = data.size;
      this.pixels = data.size * data.size;
      this.n = 3 * this.pixels;
      this.kinds = data.shape.reduce((a, b) => a * b, 1);
      this.known = Array.from({ length: this.kinds }, (_, k) => this.prepare(maps, k));
      this.sparse = this.nonzero(takeDifferences(Int16Array.from(maps), data.shape, LAYERS * this.pixels));
    }

    /** What is not zero among the differences: its kind, layer, pixel, and its value in pictures of [-1, 1]. */
    nonzero(differences) {
      const at = [];
      differences.forEach((value, i) => { if (value !== 0) at.push(i); });
      return at.map((i) => ({
        kind: Math.floor(i / (LAYERS * this.pixels)),
        layer: Math.floor(i / this.pixels) % LAYERS,
        pixel: i % this.pixels,
        value: 2 * differences[i] / 255,
      }));
    }

    /** Gram matrix of a kind's columns, their products with its mean, and the mean's square. */
    prepare(maps, k) {
      const { middle } = this.data, layer = (l) => maps.subarray((LAYERS * k + l) * this.pixels, (LAYERS * k + l + 1) * this.pixels);
      const parts = [3, 4, 5].map(layer), products = new Float64Array(SLOTS);
      let square = 0;
      for (let c = 0; c < 3; c++) {
        const base = layer(c);
        for (let i = 0; i < this.pixels; i++) {
          let mean = base[i];
          for (let p = 0; p < 3; p++) mean += middle[p][c] * parts[p][i];
          mean = 2 * mean / 255 - 1;
          square += mean * mean;
          for (let p = 0; p < 3; p++) products[slot(p, c)] += 2 * parts[p][i] / 255 * mean;
        }
      }
      return { gram: this.gram(parts), square, columns: this.alongColumns(products) };
    }

    gram(parts) {
      const { steps } = this.data;
      const overlap = parts.map((a) => parts.map((b) => a.reduce((sum, value, i) => sum + value * b[i], 0) / 65025));
      const colours = (f, g) => steps[f][PART_OF[f]].reduce((sum, value, c) => sum + value * steps[g][PART_OF[g]][c], 0);
      const range = [...Array(FACTORS).keys()];
      return range.map((f) => range.map((g) => 4 * colours(f, g) * overlap[PART_OF[f]][PART_OF[g]]));
    }

    /** From a kind's slots to its columns: the products with each. */
    alongColumns(products, from = 0) {
      const { steps } = this.data;
      return PART_OF.map((p, f) => steps[f][p].reduce((sum, value, c) => sum + value * products[from + slot(p, c)], 0));
    }

    /** Inner products of x with each kind's base and maps, SLOTS a kind. */
    products(x) {
      const table = new Float64Array(SLOTS * this.kinds);
      for (const { kind, layer, pixel, value } of this.sparse) {
        const k = SLOTS * kind;
        if (layer < 3) table[k] += value * x[layer * this.pixels + pixel];
        else for (let c = 0; c < 3; c++) table[k + slot(layer - 3, c)] += value * x[c * this.pixels + pixel];
      }
      return undoDifferences(table, this.data.shape, SLOTS);
    }

    /** The transpose: the picture that is the sum of bases and maps with given weights, SLOTS a kind, less `white`. */
    combine(table, white) {
      gatherDifferences(table, this.data.shape, SLOTS);
      const out = new Float64Array(this.n).fill(-white);
      for (const { kind, layer, pixel, value } of this.sparse) {
        const k = SLOTS * kind;
        if (layer < 3) out[layer * this.pixels + pixel] += value * table[k];
        else for (let c = 0; c < 3; c++) out[c * this.pixels + pixel] += value * table[k + slot(layer - 3, c)];
      }
      return out;
    }

    /** Add the picture of a kind with given factors, times a weight, to a table for `combine`. */
    weigh(table, k, factors, weight) {
      const { middle, steps } = this.data;
      table[SLOTS * k] += weight;
      for (let c = 0; c < 3; c++) {
        for (let p = 0; p < 3; p++) table[SLOTS * k + slot(p, c)] += weight * middle[p][c];
        PART_OF.forEach((p, f) => { table[SLOTS * k + slot(p, c)] += weight * factors[f] * steps[f][p][c]; });
      }
    }

    /** The picture of a kind with given factors, in [-1, 1] or a little outside. */
    picture(k, factors) {
      const table = new Float64Array(SLOTS * this.kinds);
      this.weigh(table, k, factors, 1);
      return this.combine(table, 1);
    }

    /** Of x = x_0 + sigma z: probabilities of the kinds, expected factors of each kind, posterior mean of x_0. */
    denoise(x, sigma) {
      const v = sigma * sigma + this.data.noise * this.data.noise;
      const table = this.products(x), total = x.reduce((a, b) => a + b, 0), square = x.reduce((a, b) => a + b * b, 0);
      const scores = new Float64Array(this.kinds), factors = new Array(this.kinds);
      for (let k = 0; k < this.kinds; k++) {
        const { gram, square: own, columns } = this.known[k], from = SLOTS * k;
        let mean = table[from] - total;
        for (let p = 0; p < 3; p++) for (let c = 0; c < 3; c++) mean += this.data.middle[p][c] * table[from + slot(p, c)];
        const y = this.alongColumns(table, from).map((value, f) => value - columns[f]);
        const M = gram.map((row, f) => row.map((value, g) => value / v + (f === g ? 1 : 0)));
        const [z, logDeterminant] = solve(M, y);
        factors[k] = z.map((value) => value / v);
        const explained = y.reduce((sum, value, f) => sum + value * factors[k][f], 0);
        scores[k] = -0.5 * ((square - 2 * mean + own - explained) / v + logDeterminant);
      }
      const weights = softmax(scores);
      return { weights, factors, estimate: this.average(x, weights, factors, sigma * sigma / v) };
    }

    /** The kinds' estimates, weighted; a `share` of the rest of x is noise, the other belongs to the picture. */
    average(x, weights, factors, share) {
      const table = new Float64Array(SLOTS * this.kinds);
      weights.forEach((weight, k) => this.weigh(table, k, factors[k], weight));
      return this.combine(table, 1).map((value, i) => share * value + (1 - share) * x[i]);
    }

    /** Probability of every value of every attribute, from those of the kinds. */
    attributes(weights) {
      const { shape } = this.data;
      return shape.map((length, axis) => {
        const inner = shape.slice(axis + 1).reduce((a, b) => a * b, 1), sums = new Array(length).fill(0);
        weights.forEach((weight, k) => { sums[Math.floor(k / inner) % length] += weight; });
        return sums;
      });
    }

    /** Expected colour factors, in standard deviations. */
    colours({ weights, factors }) {
      return PART_OF.map((_, f) => weights.reduce((sum, weight, k) => sum + weight * factors[k][f], 0));
    }
  }

  Object.assign(molrgLive, { Faces, FACTORS });
})();
