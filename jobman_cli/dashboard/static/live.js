// Keeps the part of a page that is marked `<div id="live" data-topic="jobs">` as new as the server's word that
// something has changed. The page is fetched again at its own address, and only what differs is touched: focus,
// scrolling, open <details>, chosen rows and ticked boxes stay, as long as rows have ids. Scripts that draw hear
// `jobman:changed`; what they drew is theirs in an element with the attribute hx-morph-skip-children.
"use strict";

(() => {
  const live = () => document.getElementById("live");
  const button = document.getElementById("live-switch");
  if (!window.htmx || !button || !live()?.dataset.topic) return;

  const KEY = "jobman-live";
  const APART = 1000; // Milliseconds between two fetches at the least; a slow page is fetched less often.
  const AGAIN = 30000; // Milliseconds after which a server that had no room is asked again.
  let isOn = stored() !== "off";
  let stream = null;
  let wanted = false;
  let isBusy = false;
  let notBefore = 0;
  let retry = 0;

  // What a person did to the page, which the server's page does not know, is not undone.
  htmx.registerExtension("keep", {
    htmx_before_morph_attr: (element, { attrName }) => {
      if (attrName === "open") return !element.matches("details, dialog");
      if (attrName === "class") return !element.matches("tr.chosen");
      return attrName !== "title" || !element.matches("time");
    },
  });

  function stored() {
    try { return localStorage.getItem(KEY); } catch { return null; }
  }

  const isSelecting = () => {
    const selection = document.getSelection();
    return !selection.isCollapsed && live().contains(selection.anchorNode);
  };

  const refresh = async () => {
    wanted = true;
    if (isBusy || !isOn || document.hidden || isSelecting()) return;
    isBusy = true;
    await new Promise((done) => setTimeout(done, Math.max(0, notBefore - Date.now())));
    wanted = false;
    const begun = Date.now();
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const text = await answer.text();
      if (isSelecting()) wanted = true;
      else if (answer.ok && !answer.redirected && isOn) await show(text);
    } catch {
      // The stream's own reconnecting tells when the server is back.
    }
    notBefore = begun + Math.max(APART, 10 * (Date.now() - begun));
    isBusy = false;
    if (wanted) refresh();
  };

  const show = async (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = page.getElementById("live");
    if (!fresh) return;
    document.title = page.title;
    await htmx.swap({ sourceElement: live(), target: live(), text: fresh.outerHTML, swap: "outerMorph" });
    document.dispatchEvent(new CustomEvent("jobman:changed"));
  };

  const open = () => {
    clearTimeout(retry);
    if (stream || !isOn) return;
    stream = document.createElement("div");
    stream.hidden = true;
    stream.setAttribute("hx-sse:connect", `${button.dataset.stream}?topic=${encodeURIComponent(live().dataset.topic)}`);
    stream.setAttribute("hx-swap", "none");
    stream.addEventListener("changed", refresh);
    stream.addEventListener("htmx:sse:after:connection", refresh); // What happened while nobody listened.
    stream.addEventListener("htmx:finally:request", () => { if (stream && !stream._htmx?.sse) later(); });
    document.body.append(stream);
    htmx.process(stream);
  };
  const close = () => {
    clearTimeout(retry);
    if (stream) htmx.swap({ sourceElement: stream, target: stream, text: "", swap: "delete" });
    stream = null;
  };
  const later = () => {
    close();
    retry = setTimeout(open, AGAIN);
  };

  const say = () => button.setAttribute("aria-pressed", String(isOn));
  button.addEventListener("click", () => {
    isOn = !isOn;
    try { localStorage.setItem(KEY, isOn ? "on" : "off"); } catch { /* Then it is for this page only. */ }
    say();
    if (isOn) open();
    else close();
  });
  document.addEventListener("selectionchange", () => { if (wanted && !isSelecting()) refresh(); });
  document.addEventListener("visibilitychange", () => { if (wanted && !document.hidden) refresh(); });

  say();
  button.hidden = false;
  setTimeout(open); // After htmx's own beginning, which looks through the whole page: the stream is to be opened once.
})();
