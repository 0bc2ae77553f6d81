/** QR codes, as a phone reads them. */

import jsqr from "jsqr";

/** @import { Tab } from "./tab.js" */

const decode = /** @type {typeof import("jsqr").default} */ (/** @type {any} */ (jsqr).default ?? jsqr);

/** What a phone's camera reads from the page. @param {Tab} tab @param {string} id of the image @returns {Promise<string | undefined>} */
export async function scan(tab, id) {
  const shown = await tab.page.evaluate(async (id) => {
    const image = /** @type {HTMLImageElement} */ (document.getElementById(id));
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 480;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.imageSmoothingEnabled = false;
    context.drawImage(image, 0, 0, 480, 480);
    const { data } = context.getImageData(0, 0, 480, 480);
    let bits = "";
    for (let i = 0; i < data.length; i += 4) bits += data[i] > 127 ? "1" : "0";
    return bits;
  }, id);
  const pixels = Uint8ClampedArray.from([...shown].flatMap((bit) => [...Array(3).fill(bit === "1" ? 255 : 0), 255]));
  return decode(pixels, 480, 480)?.data;
}
