/** Which camera, microphone and speaker; and what is done to the sound. */

import { element, input, make } from "./dom.js";
import { fillSelect } from "./choices.js";
import { t } from "./i18n.js";
import { media } from "./state.js";
import { useSpeaker } from "./tiles.js";

/** @import { Key } from "./i18n.js" */
/** @import { AudioSettings, Kind } from "../lanturn.js" */

/** @type {(keyof AudioSettings & string)[]} */
const SWITCHES = ["echoCancellation", "noiseSuppression", "autoGainControl", "fec", "dtx", "music"];
/** What music mode has its own way with. */
const FILTERS = SWITCHES.slice(0, 3);

const select = (/** @type {string} */ id) => element(id, HTMLSelectElement);

export function startDevices() {
  for (const kind of /** @type {Kind[]} */ (["audio", "video"])) {
    const list = select(`device-${kind}`);
    list.addEventListener("change", () => void media.use(kind, list.value));
  }
  select("device-output").addEventListener("change", () => useSpeaker(select("device-output").value));
  element("output-field", HTMLElement).hidden = !("setSinkId" in HTMLMediaElement.prototype);
  media.addEventListener("devices", () => void showDevices());
  media.addEventListener("quality", showSound);
  for (const name of SWITCHES) {
    const check = document.createElement("input");
    Object.assign(check, { type: "checkbox", id: `sound-${name}` });
    check.setAttribute("role", "switch");
    check.addEventListener("change", () => void media.setQuality({ audio: { [name]: check.checked } }));
    const words = make("span", "");
    words.dataset.text = `sound_${name}`;
    element("sound", HTMLElement).append(make("label", "check", check, words));
  }
  showSound();
}

function showSound() {
  const { audio } = media.quality;
  for (const name of SWITCHES) {
    const check = input(`sound-${name}`);
    check.checked = Boolean(audio[name]);
    check.disabled = audio.music && FILTERS.includes(name);
  }
}

/** The words of the lists, in the language of now. */
export async function showDevices() {
  const devices = await media.devices();
  /** @param {string} id @param {MediaDeviceInfo[]} all @param {string} kind @param {string} chosen */
  const fill = (id, all, kind, chosen) => {
    const named = all.map(({ deviceId, label }, i) => ({ value: deviceId, text: label || t("deviceNth", { kind, number: i + 1 }) }));
    const real = named.filter(({ value }) => value !== "");
    fillSelect(select(id), [{ value: "", text: t("deviceAuto") }, ...real], real.some(({ value }) => value === chosen) ? chosen : "");
  };
  fill("device-video", devices.video, t("camera"), media.deviceId("video"));
  fill("device-audio", devices.audio, t("mic"), media.deviceId("audio"));
  fill("device-output", devices.output, t("speaker"), select("device-output").value);
  element("devices-hint", HTMLElement).hidden = [...devices.audio, ...devices.video].some(({ label }) => label !== "");
}
