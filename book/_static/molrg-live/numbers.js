/* Small numerical tools: a linear system, a softmax, and normal numbers from a seed. */
"use strict";
(() => {
  /** Solve M z = y for a small symmetric positive definite M, by Cholesky; returns z and log det M. */
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

  function softmax(scores) {
    const largest = scores.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = scores.map((score) => Math.exp(score - largest));
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  }

  /** Uniform numbers in [0, 1) from a seed: mulberry32. */
  function uniforms(seed) {
    let state = seed | 0;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let z = Math.imul(state ^ (state >>> 15), 1 | state);
      z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
      return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
    };
  }

  /** Standard normal numbers from a seed (Box and Muller): the same seed gives the same noise everywhere. */
  function normals(count, seed) {
    const uniform = uniforms(seed);
    const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return Float64Array.from({ length: count }, normal);
  }

  /** Root of the mean square. */
  const rootMeanSquare = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);

  Object.assign(molrgLive, { solve, softmax, uniforms, normals, rootMeanSquare });
})();
