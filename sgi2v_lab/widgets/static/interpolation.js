// Boxes between key boxes, for drawing only: a mirror of sgi2v_lab/trajectory.py and sgi2v_lab/paths.py, so that a
// drag is drawn without asking the kernel. What counts is what the kernel computes; a test holds the two together.
// A box is [x0, y0, x1, y1] in pixels of the picture; time runs from 0 (first frame) to 1 (last).

export const EASINGS = {
  "linear": (t) => t,
  "ease-in": (t) => t * t,
  "ease-out": (t) => 1 - (1 - t) ** 2,
  "ease-in-out": (t) => 3 * t ** 2 - 2 * t ** 3,
};

const clamp01 = (value) => Math.min(1, Math.max(0, value));

/** The place at a fraction of a polyline's length. */
export function walk(points, progress) {
  const lengths = [0];
  for (let i = 1; i < points.length; i++) {
    const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
    lengths.push(lengths[i - 1] + Math.hypot(x1 - x0, y1 - y0));
  }
  const total = lengths[lengths.length - 1];
  if (total === 0) return points[points.length - 1];
  const target = progress * total;
  let i = 1;
  while (i < points.length - 1 && lengths[i] < target) i++;
  const part = lengths[i] > lengths[i - 1] ? (target - lengths[i - 1]) / (lengths[i] - lengths[i - 1]) : 1;
  return points[i].map((value, axis) => points[i - 1][axis] + clamp01(part) * (value - points[i - 1][axis]));
}

/** How far a trajectory is on its present stretch: [index of the key box before, eased progress 0..1]. */
export function progressAt(trajectory, time) {
  const { keys } = trajectory;
  let k = 0;
  while (k < keys.length - 2 && keys[k + 1].time <= time) k++;
  const done = clamp01((time - keys[k].time) / (keys[k + 1].time - keys[k].time));
  const easing = keys[k].easing || trajectory.easing || "linear";
  return [k, (EASINGS[easing] || EASINGS.linear)(done)];
}

/** The box of a trajectory at a time. */
export function boxAt(trajectory, time) {
  const { keys, path } = trajectory;
  if (keys.length === 1) return keys[0].box.slice();
  const [k, done] = progressAt(trajectory, time);
  const box = keys[k].box.map((value, i) => (1 - done) * value + done * keys[k + 1].box[i]);
  if (!path) return box;
  const place = walk(path, done);
  const [dx, dy] = [place[0] - path[0][0], place[1] - path[0][1]];
  const first = keys[0].box;
  const growX = (box[2] - box[0] - (first[2] - first[0])) / 2;
  const growY = (box[3] - box[1] - (first[3] - first[1])) / 2;
  return [first[0] + dx - growX, first[1] + dy - growY, first[2] + dx + growX, first[3] + dy + growY];
}

export const centreOf = ([x0, y0, x1, y1]) => [(x0 + x1) / 2, (y0 + y1) / 2];
export const shifted = ([x0, y0, x1, y1], dx, dy) => [x0 + dx, y0 + dy, x1 + dx, y1 + dy];

/** Fewer corners for a line drawn by hand (Ramer, Douglas and Peucker): none is farther off than the tolerance. */
export function simplify(points, tolerance) {
  if (points.length < 3) return points.slice();
  const [[ax, ay], [bx, by]] = [points[0], points[points.length - 1]];
  const length2 = (bx - ax) ** 2 + (by - ay) ** 2;
  let [farthest, most] = [0, -1];
  for (let i = 1; i < points.length - 1; i++) {
    const [px, py] = points[i];
    const t = length2 ? clamp01(((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length2) : 0;
    const distance = Math.hypot(px - ax - t * (bx - ax), py - ay - t * (by - ay));
    if (distance > most) [farthest, most] = [i, distance];
  }
  if (most <= tolerance) return [points[0], points[points.length - 1]];
  const head = simplify(points.slice(0, farthest + 1), tolerance);
  return [...head.slice(0, -1), ...simplify(points.slice(farthest), tolerance)];
}
