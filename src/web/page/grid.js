/** Where each tile is: as large as they fit, the last row in the middle; or one on the stage and the others beside it. */

/** @typedef {{left: number, top: number, width: number, height: number}} Rect in px */

const GAP = 8;
/** The widest and the narrowest that a picture is cut to. */
const WIDEST = 16 / 9;
const NARROWEST = 9 / 16;
/** Below this width, of two people we ourselves are small in a corner, as on a phone's own calls. */
const NARROW_PX = 560;
const CORNER = { width: 108, height: 150, margin: 8 };

/**
 * @param {{width: number, height: number}} room @param {number} count of tiles, the last of them our own if `self`
 * @param {{stage?: number, self?: boolean}} [wanted] stage: the index of the tile that is large
 * @returns {Rect[]} one for each tile
 */
export function arrange(room, count, { stage, self = false } = {}) {
  if (count === 0) return [];
  if (stage !== undefined && count > 1) return staged(room, count, stage);
  if (self && count === 2 && room.width < NARROW_PX && room.height > room.width) {
    const { width, height, margin } = CORNER;
    const [left, top] = [room.width - width - margin, room.height - height - margin];
    return [{ left: 0, top: 0, ...room }, { left, top, width, height }];
  }
  return even(room, count);
}

/** Whether the one floats over the other. @param {Rect} small @param {Rect} large */
export function isInside(small, large) {
  const [right, bottom] = [small.left + small.width, small.top + small.height];
  const across = small.left >= large.left && right <= large.left + large.width;
  return across && small.top >= large.top && bottom <= large.top + large.height;
}

/** @param {{width: number, height: number}} room @param {number} count @returns {Rect[]} */
function even(room, count) {
  let best = { area: -1, columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const cell = { width: (room.width - GAP * (columns - 1)) / columns, height: (room.height - GAP * (rows - 1)) / rows };
    const width = Math.max(0, Math.min(cell.width, cell.height * WIDEST));
    const height = Math.max(0, Math.min(cell.height, cell.width / NARROWEST));
    if (width * height > best.area) best = { area: width * height, columns, width, height };
  }
  const { columns, width, height } = best;
  const rows = Math.ceil(count / columns);
  const top = (room.height - rows * height - GAP * (rows - 1)) / 2;
  return Array.from({ length: count }, (_, i) => {
    const row = Math.floor(i / columns);
    const inRow = row === rows - 1 ? count - row * columns : columns;
    const left = (room.width - inRow * width - GAP * (inRow - 1)) / 2;
    return { left: left + (i % columns) * (width + GAP), top: top + row * (height + GAP), width, height };
  });
}

/** @param {{width: number, height: number}} room @param {number} count @param {number} stage @returns {Rect[]} */
function staged(room, count, stage) {
  const beside = room.width >= room.height;
  const [along, across] = beside ? [room.height, room.width] : [room.width, room.height];
  const depth = Math.round(Math.max(72, Math.min(across * 0.2, 240)));
  const others = count - 1;
  const length = Math.max(0, Math.min((along - GAP * (others - 1)) / others, beside ? depth * 0.75 : depth * 1.2));
  const start = (along - others * length - GAP * (others - 1)) / 2;
  let next = 0;
  return Array.from({ length: count }, (_, i) => {
    if (i === stage) {
      const main = across - depth - GAP;
      return beside ? { left: 0, top: 0, width: main, height: along } : { left: 0, top: 0, width: along, height: main };
    }
    const at = start + next++ * (length + GAP);
    return beside
      ? { left: across - depth, top: at, width: depth, height: length }
      : { left: at, top: across - depth, width: length, height: depth };
  });
}
