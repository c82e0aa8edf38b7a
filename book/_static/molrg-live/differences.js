/* Tables with an entry for every kind of face, and their differences along the attributes.

   Two kinds that differ in their mouths differ in few pixels. So the maps of all kinds are stored as differences: along
   each attribute, every value less the first. Three in a thousand are not zero. Sums over pixels are taken over these
   few, and turned into those of the kinds afterwards: both steps are linear. */
"use strict";
(() => {
  /** Visits every value of every attribute together with the attribute's first; blocks hold `entries` numbers a kind. */
  function alongAttributes(table, shape, entries, step) {
    let inner = entries;
    for (const length of shape.slice().reverse()) {
      const block = inner * length;
      for (let first = 0; first < table.length; first += block)
        for (let other = first + inner; other < first + block; other += inner) step(table, first, other, inner);
      inner = block;
    }
    return table;
  }
  const take = (table, first, other, n) => { for (let i = 0; i < n; i++) table[other + i] -= table[first + i]; };
  const undo = (table, first, other, n) => { for (let i = 0; i < n; i++) table[other + i] += table[first + i]; };
  const gather = (table, first, other, n) => { for (let i = 0; i < n; i++) table[first + i] += table[other + i]; };

  /** The bytes behind base64 of a compressed text: "deflate" is zlib, "gzip" gzip. */
  async function unpack(text, format) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream(format));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  Object.assign(molrgLive, {
    unpack,
    /** Numbers of the kinds from their differences. */
    undoDifferences: (table, shape, entries) => alongAttributes(table, shape, entries, undo),
    takeDifferences: (table, shape, entries) => alongAttributes(table, shape, entries, take),
    /** The transpose of undoDifferences: a sum over kinds becomes one over differences. */
    gatherDifferences: (table, shape, entries) => alongAttributes(table, shape, entries, gather),
  });
})();
