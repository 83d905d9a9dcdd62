// Checks the HTML report in a browser: anchors, filters in the URL, history, keyboard, labels of timelines,
// overflow, and the WCAG rules of axe in light and dark mode. Not part of ci/test, as it needs a browser:
//   apt-get install chromium && npm install --no-save puppeteer-core axe-core
//   node ci/page.js results/index.html
"use strict";
const { readFileSync } = require("node:fs");
const { pathToFileURL } = require("node:url");
const puppeteer = require("puppeteer-core");

const pageUrl = pathToFileURL(process.argv[2]).href;
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
let failures = 0;
const check = (passed, what) => {
  failures += !passed;
  console.log(`${passed ? "ok  " : "FAIL"} ${what}`);
};
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const run = async (browser) => {
  const page = await browser.newPage();
  page.on("pageerror", (error) => check(false, `script error: ${error.message}`));
  const resize = (width) => page.setViewport({ width, height: 900 });
  const open = async (fragment) => {
    await page.goto("about:blank");
    await page.goto(pageUrl + fragment);
    await pause(300);
  };
  const fragment = () => page.evaluate(() => decodeURIComponent(location.hash));
  const shown = async () => (await page.$$(".matrix:not([hidden]) tr[id]:not([hidden])")).length;
  const opened = async () => (await page.$$("tr.details")).length;
  const statement = (id) => `tr[id="${id}"] a`;

  await resize(1280);
  await open("");
  const ids = await page.$$eval(".matrix tr[id]", (rows) => rows.map(({ id }) => id));
  const elements = (await page.$$("*")).length;
  check(elements < 6000 || elements < 60 * ids.length, `${elements} elements for ${ids.length} claims`);

  const last = ids.at(-1);
  await open(`#${last}`);
  const top = await page.$eval(statement(last), (link) => link.getBoundingClientRect().top);
  check((await opened()) === 1 && top > 0 && top < 900, "an anchor opens its claim and shows it");
  await open("");
  await page.click(statement(ids[0]));
  await page.click(statement(ids[1]));
  check((await opened()) === 2 && (await fragment()) === `#${ids[1]}`, "a click opens a claim");
  await page.evaluate(() => history.back());
  await pause(200);
  check((await opened()) === 1 && (await fragment()) === `#${ids[0]}`, "the back button closes it");
  await open("");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  check(await page.evaluate(() => document.activeElement.id) === "claims", "the skip link leads to the claims");
  await page.focus(statement(ids[0]));
  await page.keyboard.press("Enter");
  const expanded = await page.$eval(statement(ids[0]), (link) => link.getAttribute("aria-expanded"));
  check(expanded === "true" && (await opened()) === 1, "the keyboard opens a claim");

  await open("");
  const chip = await page.$eval("[name=verdict]", ({ value }) => value);
  await page.click(`[name=verdict][value=${chip}] + span`);
  const count = await page.$eval(`[data-count=${chip}]`, (number) => +number.textContent);
  check((await shown()) === count && (await fragment()) === `#verdict=${chip}`, "a filter shows as many claims as it says");
  await page.type("[name=text]", "hook");
  const found = await shown();
  await open(await fragment());
  check((await shown()) === found, "a copied URL restores the view");
  await open("#text=matches-no-claim");
  check((await shown()) === 0 && (await page.$(".empty:not([hidden])")) !== null, "a message if nothing matches");
  await page.click(".empty button");
  check((await shown()) === ids.length, "filters are cleared");

  for (const width of [1280, 400, 320]) {
    await resize(width);
    await open(`#verdict=${chip}`);
    await page.click("[data-do=open]");
    await pause(1000);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(wide <= width, `no overflow at ${width} px with all claims open: ${wide} px`);
    const overlaps = await page.$$eval("svg.timeline", (pictures) => pictures.flatMap((picture) => {
      const texts = [...picture.querySelectorAll("text:not(.tick)")].map((text) => [text.getBoundingClientRect(), text.textContent]);
      return texts.flatMap(([a, one], at) => texts.slice(at + 1)
        .filter(([b]) => a.left + 1 < b.right && b.left + 1 < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom)
        .map(([, other]) => `${one} / ${other}`));
    }));
    check(overlaps.length === 0, `labels of timelines do not overlap at ${width} px: ${overlaps.slice(0, 5).join(", ")}`);
  }
  for (const value of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
    for (const view of ["closed", "open"]) {
      await resize(1280);
      await open(`#verdict=${chip}`);
      if (view === "open") await page.click("[data-do=open]");
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"] }));
      const words = violations.map(({ id, nodes }) => `${id} (${nodes.length}): ${nodes[0].html}`);
      check(words.length === 0, `axe, ${value}, claims ${view}: ${words.join("; ") || "no violations"}`);
    }
  }
};

(async () => {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  const browser = await puppeteer.launch({ executablePath, args: ["--no-sandbox"] });
  await run(browser).catch((error) => check(false, error.stack));
  await browser.close();
  process.exitCode = failures ? 1 : 0;
})();
