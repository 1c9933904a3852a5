"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const slider = document.getElementById("step");
const last = data.shown.length - 1;
const charts = ["value", "entropy", "reward", "norm"].filter((name) => document.getElementById(name));
const SVG = "http://www.w3.org/2000/svg";
let timer = null;

// Rewards belong to the action before them: the first moment has none.
function at(name, step) {
  return name === "reward" ? data.reward[step - 1] : data[name][step];
}

function drawChart(name) {
  const chart = document.getElementById(name);
  const points = [];
  for (let step = 0; step <= last; step += 1) {
    const number = at(name, step);
    if (number !== undefined) points.push([step, number]);
  }
  const numbers = points.map(([, number]) => number);
  const low = Math.min(...numbers), high = Math.max(...numbers);
  const place = ([step, number]) =>
    `${(300 * step) / Math.max(last, 1)},${85 - (80 * (number - low)) / (high - low || 1)}`;
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", `M${points.map(place).join("L")}`);
  const mark = document.createElementNS(SVG, "line");
  mark.setAttribute("y1", 0);
  mark.setAttribute("y2", 90);
  chart.append(path, mark);
}

function showActions(step) {
  const shown = document.getElementById("actions");
  const branches = (data.probabilities[step] || []).map((probabilities, branch) => {
    const box = document.createElement("div");
    box.className = "branch";
    probabilities.forEach((probability, choice) => {
      const bar = document.createElement("div");
      const taken = data.actions[step][branch] === choice;
      bar.className = taken ? "bar taken" : "bar";
      const name = document.createElement("span");
      name.textContent = data.names[branch][choice] + (taken ? " (taken)" : "");
      const track = document.createElement("span");
      const share = document.createElement("span");
      share.className = "share";
      share.style.width = `${100 * probability}%`;
      track.append(share);
      const number = document.createElement("span");
      number.textContent = probability.toFixed(3);
      bar.append(name, track, number);
      box.append(bar);
    });
    return box;
  });
  // Numbers come behind the choices and have no probabilities.
  const numbers = (data.actions[step] || []).slice(data.names.length);
  const told = document.createElement("p");
  told.textContent = numbers.map((number) => number.toFixed(3)).join(", ");
  shown.replaceChildren(...branches, ...(numbers.length ? [told] : []));
}

function showAttention(step) {
  const shown = document.getElementById("attention");
  if (!shown) return;
  const rows = (data.attention[step] || []).map((weights) => {
    const row = document.createElement("div");
    row.className = "row";
    const first = step - weights.length;
    for (let past = 0; past < last; past += 1) {
      const cell = document.createElement("span");
      const level = document.createElement("i");
      level.style.opacity = past >= first && past < step ? weights[past - first] : 0;
      cell.append(level);
      row.append(cell);
    }
    return row;
  });
  shown.replaceChildren(...rows);
}

function show(step) {
  slider.value = step;
  data.shown[step].forEach((image, index) => {
    document.getElementById(`picture-${index}`).src = data.images[image];
  });
  document.getElementById("now").textContent =
    `${step} of ${last}, reward so far ${data.total[step].toFixed(3)}`;
  showActions(step);
  showAttention(step);
  for (const name of charts) {
    const number = at(name, step);
    document.getElementById(`${name}-now`).textContent =
      number === undefined ? "–" : number.toFixed(3);
    const mark = document.querySelector(`#${name} line`);
    mark.setAttribute("x1", (300 * step) / Math.max(last, 1));
    mark.setAttribute("x2", (300 * step) / Math.max(last, 1));
  }
}

function stop() {
  clearInterval(timer);
  timer = null;
  document.getElementById("play").textContent = "Play";
}

function play() {
  if (timer !== null) return stop();
  if (Number(slider.value) === last) show(0);
  document.getElementById("play").textContent = "Pause";
  timer = setInterval(() => {
    show(Math.min(Number(slider.value) + 1, last));
    if (Number(slider.value) === last) stop();
  }, 1000 / data.framerate);
}

function move(by) {
  stop();
  show(Math.min(Math.max(Number(slider.value) + by, 0), last));
}

charts.forEach(drawChart);
document.getElementById("play").addEventListener("click", play);
document.getElementById("back").addEventListener("click", () => move(-1));
document.getElementById("forward").addEventListener("click", () => move(1));
slider.addEventListener("input", () => move(0));
show(0);
