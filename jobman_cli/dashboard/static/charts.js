// Draws each chart's numbers in place of the server's SVG, and again when the page was refreshed. The numbers stand
// in the figure as JSON, the lines' names in the head of its table, which stays for those who cannot see a drawing.
"use strict";

(() => {
  if (!window.uPlot) return;

  const HEIGHT = 190;
  const drawn = new WeakMap();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const number = new Intl.NumberFormat(document.documentElement.lang, { maximumSignificantDigits: 3 });
  const UNITS = [[1, 0.001, "ms"], [60, 1, "s"], [3600, 60, "min"], [86400, 3600, "h"], [Infinity, 86400, "d"]];
  const duration = (seconds) => {
    if (!seconds) return "0";
    const [, unit, name] = UNITS.find(([below]) => seconds < below);
    return `${number.format(seconds / unit)} ${name}`;
  };

  // The viewer's own clock and calendar; the day stands where it begins.
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(document.documentElement.lang, { month: "numeric", day: "numeric" });
  const times = (_plot, moments) => {
    let last = "";
    return moments.map((seconds) => {
      const at = new Date(seconds * 1000);
      const [time, date] = [clock.format(at), day.format(at)];
      const shown = date === last ? time : `${time}\n${date}`;
      last = date;
      return shown;
    });
  };
  const moment = (_plot, seconds) => {
    if (seconds == null) return "–";
    const at = new Date(seconds * 1000);
    return `${day.format(at)} ${clock.format(at)}`;
  };

  const options = (figure, data, width) => {
    const shown = data.unit === "seconds" ? duration : (value) => number.format(value);
    const names = [...figure.querySelectorAll("thead th")].map((cell) => cell.textContent);
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    const strokes = figure.id === "chart-throughput" ? ["--good", "--bad"] : ["--accent", "--waiting"];
    return {
      width,
      height: HEIGHT,
      cursor: { y: false },
      scales: { y: { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, values: times }, { ...axis, size: 64, values: (_plot, values) => values.map(shown) }],
      series: [
        { label: names[0], value: moment },
        ...names.slice(1).map((label, at) => ({
          label,
          stroke: colour(strokes[at]),
          width: 2,
          dash: at ? [6, 3] : undefined,
          value: (_plot, value) => (value == null ? "–" : shown(value)),
        })),
      ],
    };
  };

  const widthOf = (place) => Math.max(200, Math.floor(place.getBoundingClientRect().width));
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) drawn.get(target)?.setSize({ width: widthOf(target), height: HEIGHT });
  });

  const draw = (figure, anew = false) => {
    const place = figure.querySelector(".plot");
    const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    figure.classList.add("drawn");
    const before = drawn.get(place);
    if (before && !anew && place.contains(before.root)) {
      before.setData(data.series);
      return;
    }
    before?.destroy();
    place.replaceChildren();
    drawn.set(place, new uPlot(options(figure, data, widthOf(place)), data.series, place));
    resized.observe(place);
  };
  const drawAll = (anew) => {
    for (const figure of document.querySelectorAll("[data-chart]")) draw(figure, anew);
  };

  drawAll(false);
  document.addEventListener("jobman:changed", () => drawAll(false));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
})();
