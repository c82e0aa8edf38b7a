// A tree under a slider: nodes at fixed places, drawn anew for each position.
function drawTree(figure, {nodes, edges, frames, captions, kept, changed}) {
  const svg = figure.querySelector("svg");
  const draw = (name, attributes) => {
    const item = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) item.setAttribute(key, attributes[key]);
    return svg.appendChild(item);
  };
  const lines = edges.map(([a, b]) => draw("line", {
    x1: nodes[a][0], y1: nodes[a][1], x2: nodes[b][0], y2: nodes[b][1],
  }));
  const marks = nodes.map(() => draw("rect", {}));
  const show = (frame) => {
    const states = frames[frame];
    edges.forEach(([child], k) => {
      lines[k].setAttribute("stroke", states[child] === "1" ? changed : "#999999");
    });
    marks.forEach((mark, k) => {
      const other = states[k] === "1";
      const r = other ? 4 : 2.8;
      const [x, y] = nodes[k];
      const set = {x: x - r, y: y - r, width: 2 * r, height: 2 * r, rx: other ? 0 : r};
      for (const key in set) mark.setAttribute(key, set[key]);
      mark.setAttribute("fill", other ? changed : kept);
    });
    figure.querySelector("output").textContent = captions[frame];
  };
  const input = figure.querySelector("input");
  input.addEventListener("input", () => show(input.value));
  show(input.value);
}
