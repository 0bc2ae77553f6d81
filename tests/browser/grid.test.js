/** Tiles fill what there is, never overlap, and are never cut too narrow; and names to say are names. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, isInside } from "../../src/web/page/grid.js";
import { suggestName } from "../../src/web/page/names.js";
import { browserOf } from "../../src/web/page/refusal.js";

const ROOMS = [[390, 680], [680, 390], [1280, 620], [1920, 900], [320, 400], [600, 600]];

/** @param {import("../../src/web/page/grid.js").Rect} a @param {import("../../src/web/page/grid.js").Rect} b */
const overlap = (a, b) => a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

for (const stage of [undefined, 0]) {
  test(`up to 30 tiles fit in any window${stage === 0 ? ", one of them large" : ""}`, () => {
    for (const [width, height] of ROOMS) {
      for (let count = 1; count <= 30; count++) {
        const rects = arrange({ width, height }, count, { stage });
        const where = `${count} in ${width}×${height}`;
        assert.equal(rects.length, count);
        for (const [i, { left, top, width: w, height: h }] of rects.entries()) {
          assert.ok(left >= -0.01 && top >= -0.01 && left + w <= width + 0.01 && top + h <= height + 0.01, `${i} of ${where} is inside`);
          assert.ok(w > 0 && h > 0, `${i} of ${where} can be seen`);
          for (const other of rects.slice(i + 1)) assert.ok(!overlap(rects[i], other), `${where} are beside each other`);
        }
        if (stage === undefined) continue;
        for (const other of rects.slice(1)) assert.ok(rects[0].width * rects[0].height > 2 * other.width * other.height, `${where}: one is large`);
      }
    }
  });
}

test("four in a wide window are two by two, and three have the last in the middle", () => {
  const four = arrange({ width: 1280, height: 720 }, 4);
  assert.equal(new Set(four.map(({ left }) => left)).size, 2);
  const [first, second, third] = arrange({ width: 1000, height: 800 }, 3);
  assert.equal(first.top, second.top);
  assert.equal(third.left + third.width / 2, 500);
});

test("of two on a phone, we ourselves are small in a corner", () => {
  const [other, own] = arrange({ width: 390, height: 680 }, 2, { self: true });
  assert.deepEqual(other, { left: 0, top: 0, width: 390, height: 680 });
  assert.ok(own.width < 130 && isInside(own, other));
  const desktop = arrange({ width: 1280, height: 680 }, 2, { self: true });
  assert.equal(desktop[0].width, desktop[1].width);
});

test("a suggested name has three words, and is seldom the same", () => {
  for (const language of ["en", "ko", "xx"]) {
    const names = Array.from({ length: 200 }, () => suggestName(language));
    for (const name of names) assert.match(name, language === "ko" ? /^[가-힣 ]+ [가-힣]+ [가-힣]+$/ : /^[a-z]+ [a-z]+ [a-z]+$/);
    assert.ok(new Set(names).size > 150, `${new Set(names).size} of 200`);
  }
});

test("each browser is known by what it says of itself", () => {
  const chrome = "(KHTML, like Gecko) Chrome/140.0.0.0";
  const agents = {
    chromium: [`Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 ${chrome} Safari/537.36`, `Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 ${chrome} Safari/537.36 Edg/140.0`],
    android: [`Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 ${chrome} Mobile Safari/537.36`],
    firefox: ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
    firefoxAndroid: ["Mozilla/5.0 (Android 14; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0"],
    safari: ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"],
    ios: ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1"],
    iosOther: ["CriOS/140.0", "FxiOS/140.0", "EdgiOS/140.0"].map((name) => `Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) ${name} Mobile/15E148 Safari/604.1`),
  };
  for (const [name, all] of Object.entries(agents)) for (const agent of all) assert.equal(browserOf(agent), name, agent);
  assert.equal(browserOf(agents.safari[0], 5), "ios", "an iPad says that it is a Mac");
});
