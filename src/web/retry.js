/** When to try again. Used through lanturn.js. */

const FIRST_MS = 500;
const MOST_MS = 15_000;

/**
 * Twice as long each time, and at random in the upper half of that: a restarted box is not met by all its rooms in the
 * same moment.
 * @param {number} attempt 0 for the first @param {number} random 0 to 1 @returns {number} ms
 */
export function backOff(attempt, random) {
  const most = Math.min(MOST_MS, FIRST_MS * 2 ** attempt);
  return Math.round((most * (1 + random)) / 2);
}
