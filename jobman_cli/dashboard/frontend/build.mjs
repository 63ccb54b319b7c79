// Writes what the pages take from npm to ../static/vendor, whole or not at all. Nothing is bundled: these
// files run in the browser as their authors publish them.
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";

const here = new URL("./", import.meta.url);
const packages = new URL("node_modules/", here);
const target = new URL("../static/vendor/", here);
const fresh = new URL(`../static/vendor-${process.pid}/`, here);

// The name in ../static/vendor: where it is in node_modules.
const files = {
  "htmx.js": "htmx.org/dist/htmx.min.js",
  "htmx-sse.js": "htmx.org/dist/ext/hx-sse.min.js",
  "htmx.LICENSE.txt": "htmx.org/LICENSE",
  "uplot.js": "uplot/dist/uPlot.iife.min.js",
  "uplot.css": "uplot/dist/uPlot.min.css",
  "uplot.LICENSE.txt": "uplot/LICENSE",
};

// hatch_build.py knows by this whether the files still fit: made-from is the SHA-256 of both.
const hash = createHash("sha256");
for (const source of ["package-lock.json", "build.mjs"]) hash.update(await readFile(new URL(source, here)));

try {
  await mkdir(fresh, { recursive: true });
  for (const [name, source] of Object.entries(files)) {
    if (!name.endsWith(".js")) await cp(new URL(source, packages), new URL(name, fresh));
    else {
      const script = await readFile(new URL(source, packages), "utf8"); // its source map is not served
      await writeFile(new URL(name, fresh), script.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n"));
    }
  }
  await writeFile(new URL("made-from", fresh), `${hash.digest("hex")}\n`);
  await rm(target, { recursive: true, force: true });
  await rename(fresh, target);
} finally {
  await rm(fresh, { recursive: true, force: true });
}
console.log(`${Object.keys(files).length} files are in jobman_cli/dashboard/static/vendor`);
