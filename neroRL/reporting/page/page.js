"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read("charts");
  const palette = read("palette");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 40rem)");
  const still = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: false };
  const COLOURED = palette.lines.length;
  const GREY = "#8A9099";
  let printing = false;

  const variable = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // A copy of a figure in the colours and at the width of the page.
  function dressed(chart) {
    const lit = dark.matches && !printing;
    let text = JSON.stringify(chart.figure);
    if (lit && chart.kind !== "curves") text = text.replaceAll(palette.accent, "#56B4E9");
    const { data, layout } = JSON.parse(text);
    const ink = printing ? "#000000" : variable("--ink");
    const line = printing ? "#cccccc" : variable("--line");
    const small = narrow.matches && !printing;
    layout.font = { family: getComputedStyle(document.body).fontFamily, size: 13, color: ink };
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
    layout.margin = { l: 10, r: 16, t: 16, b: 10, ...layout.margin };
    layout.dragmode = false;
    layout.legend = { orientation: "h", x: 0, xanchor: "left", y: 1, yanchor: "bottom" };
    layout.hoverlabel = { bgcolor: variable("--soft"), bordercolor: line, font: { color: ink } };
    for (const name of ["xaxis", "yaxis"]) {
      layout[name] = {
        gridcolor: line, zeroline: false, linecolor: line, automargin: true, fixedrange: true,
        ...layout[name],
      };
      if (layout[name].title) layout[name].title.font = { size: 13 };
    }
    if (layout.meta && layout.meta.wide) {
      layout.yaxis.ticktext = small ? layout.meta.narrow : layout.meta.wide;
    }
    for (const trace of data) {
      if (trace.type === "parcoords") {
        Object.assign(trace, { labelfont: { color: ink, size: 12 }, tickfont: { color: ink, size: 11 },
          rangefont: { color: "rgba(0,0,0,0)", size: 1 } });
        layout.margin = { l: 60, r: 60, t: 50, b: 20 };
      }
      if (trace.type === "heatmap") {
        layout.xaxis.showgrid = layout.yaxis.showgrid = false;
        if (small) trace.showscale = false;
      }
    }
    return { data, layout };
  }

  const selects = [...document.querySelectorAll(".filters select")];
  const chosen = () => selects.filter((one) => one.value !== "")
    .map((one) => [Number(one.dataset.axis), Number(one.value)]);

  // Hides the curves that the filters leave out; the best of the others are in colour.
  function filterCurves(data, layout) {
    const wanted = chosen();
    const places = new Map();
    let total = 0;
    for (const trace of data) {
      const { levels, permutation, role } = trace.meta;
      const visible = wanted.every(([axis, level]) => levels[axis] === level);
      if (visible && !places.has(permutation)) places.set(permutation, places.size);
      const place = places.get(permutation);
      const coloured = visible && place < COLOURED;
      const colour = coloured ? palette.lines[place] : GREY;
      trace.visible = visible && (role === "line" || coloured);
      if (role === "line") {
        total += 1;
        trace.line = { color: colour, width: coloured ? 2.25 : 1 };
        trace.marker = { color: colour, size: coloured ? 9 : 6 };
        trace.opacity = coloured ? 1 : 0.45;
        trace.showlegend = coloured;
        if (!coloured) trace.hoverinfo = "skip", trace.hovertemplate = null;
      } else {
        trace.fillcolor = `${colour}2b`;
      }
    }
    // The best lies on top.
    data.reverse();
    layout.legend = { orientation: "h", x: 0, y: -0.22, yanchor: "top", traceorder: "reversed",
      font: { size: 12 } };
    if (layout.height) layout.height += 22 * Math.min(places.size, COLOURED);
    const shown = document.getElementById("shown"); // a single permutation has no filters
    if (shown) shown.textContent = `${places.size} of ${total} curves shown`;
  }

  function brush(data) {
    for (const [axis, level] of chosen()) {
      const dimension = data[0].dimensions[axis];
      if (dimension && axis < data[0].dimensions.length - 1) {
        dimension.constraintrange = [level - 0.3, level + 0.3];
      }
    }
  }

  function hasWebGL() {
    const context = document.createElement("canvas").getContext("webgl");
    return context !== null;
  }

  function draw(id) {
    const chart = charts[id];
    const element = document.getElementById(id);
    if (element.closest("figure").hidden) return;
    const { data, layout } = dressed(chart);
    if (chart.kind === "curves") filterCurves(data, layout);
    if (chart.kind === "parallel") {
      element.style.setProperty("--wide", `${110 * layout.meta.columns}px`);
      if (!hasWebGL()) {
        element.textContent = "This chart needs WebGL, which this browser does not offer.";
        element.style.minHeight = "0";
        return;
      }
      brush(data);
    }
    layout.autosize = true;
    Plotly.react(element, data, layout, still);
  }

  const drawAll = () => Object.keys(charts).forEach(draw);
  const drawKinds = (...kinds) =>
    Object.keys(charts).filter((id) => kinds.includes(charts[id].kind)).forEach(draw);

  const pair = document.getElementById("pair");
  function pickPair() {
    const figures = document.querySelectorAll("figure.pair");
    figures.forEach((figure, index) => { figure.hidden = index !== Number(pair.value); });
    drawKinds("pair");
  }

  const reset = document.getElementById("reset");
  if (reset) {
    const refilter = () => drawKinds("curves", "parallel");
    selects.forEach((one) => one.addEventListener("change", refilter));
    reset.addEventListener("click", () => {
      selects.forEach((one) => { one.value = ""; });
      refilter();
    });
  }

  const copy = document.getElementById("copy");
  if (copy) {
    copy.addEventListener("click", () => {
      const code = document.getElementById("command");
      const done = (text) => { document.getElementById("copied").textContent = text; };
      const select = () => {
        getSelection().selectAllChildren(code);
        done("Selected: press Ctrl+C");
      };
      if (!navigator.clipboard) return select();
      navigator.clipboard.writeText(code.textContent).then(() => done("Copied"), select);
    });
  }

  if (pair) {
    pair.addEventListener("change", pickPair);
    pickPair();
  }
  drawAll();
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  // Charts have the width that they are drawn at: that of a sheet of paper.
  const print = (now) => {
    printing = now;
    document.body.style.width = now ? "42rem" : "";
    drawAll();
  };
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
})();
