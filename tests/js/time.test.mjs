import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { said } from "../../static/taskhub/time.js";

const cases = JSON.parse(readFileSync(new URL("./moments.json", import.meta.url)));

for (const [kind, seconds, words] of cases) {
  test(`${kind}, ${seconds} seconds: ${words}`, () => assert.equal(said(kind, seconds), words));
}
