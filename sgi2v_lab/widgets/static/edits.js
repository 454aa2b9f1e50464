// Changes to a trajectory while it is drawn. Each returns a new one and leaves the old alone.
import { boxAt, centreOf, shifted } from "./interpolation.js";

const SAME_TIME = 1e-4;

export const keyAt = (trajectory, time) => trajectory.keys.findIndex((key) => Math.abs(key.time - time) < SAME_TIME);

const withKeys = (trajectory, keys) => ({ ...trajectory, keys });
const withKey = (trajectory, k, box) =>
  withKeys(trajectory, trajectory.keys.map((key, i) => (i === k ? { ...key, box } : key)));

/** A key box at a time: changed if there is one, else put in between. Before the first key, the first is meant. */
export function setKey(trajectory, time, box) {
  const found = keyAt(trajectory, time);
  if (found >= 0) return withKey(trajectory, found, box);
  const keys = trajectory.keys.length === 1 ? [{ ...trajectory.keys[0], time: 0 }] : trajectory.keys;
  if (time < keys[0].time + SAME_TIME) return withKey(withKeys(trajectory, keys), 0, box);
  const { frames, ...rest } = trajectory; // given frame by frame no longer
  return withKeys(rest, [...keys, { time, box }].sort((a, b) => a.time - b.time));
}

/** The whole motion elsewhere. */
export function shiftAll(trajectory, dx, dy) {
  const moved = withKeys(trajectory, trajectory.keys.map((key) => ({ ...key, box: shifted(key.box, dx, dy) })));
  if (trajectory.path) moved.path = trajectory.path.map(([x, y]) => [x + dx, y + dy]);
  return moved;
}

/** The box at a time moved: all of a drawn path, else the key box of that time. */
export function moveAt(trajectory, time, dx, dy) {
  if (trajectory.path) return shiftAll(trajectory, dx, dy);
  return setKey(trajectory, time, shifted(boxAt(trajectory, time), dx, dy));
}

/** Whether the box can be resized at a time: along a path only its two ends have a size of their own. */
export function resizable(trajectory, time) {
  if (!trajectory.path) return true;
  const [first, last] = trajectory.keys;
  return time < first.time + SAME_TIME || time > last.time - SAME_TIME;
}

/** The box at a time as drawn; on a path it keeps its middle, and only its size is taken. */
export function resizeAt(trajectory, time, box) {
  if (!trajectory.path) return setKey(trajectory, time, box);
  if (!resizable(trajectory, time)) return trajectory;
  const k = time < trajectory.keys[0].time + SAME_TIME ? 0 : 1;
  const [cx, cy] = centreOf(trajectory.keys[k].box);
  const [w, h] = [(box[2] - box[0]) / 2, (box[3] - box[1]) / 2];
  return withKey(trajectory, k, [cx - w, cy - h, cx + w, cy + h]);
}

/** Follow a drawn line, points from the box's centre on; times and the last size stay if it had them. */
export function alongPath(trajectory, points) {
  const first = trajectory.keys[0];
  const last = trajectory.keys[trajectory.keys.length - 1];
  const [cx, cy] = points[points.length - 1];
  const [w, h] = [(last.box[2] - last.box[0]) / 2, (last.box[3] - last.box[1]) / 2];
  const moves = trajectory.keys.length > 1;
  const { frames, ...rest } = trajectory;
  return {
    ...rest,
    keys: [
      { time: moves ? first.time : 0, box: first.box },
      { time: moves ? last.time : 1, box: [cx - w, cy - h, cx + w, cy + h] },
    ],
    path: points,
  };
}

/** The corners of a drawn path changed. */
export function withPath(trajectory, points) {
  if (points.length < 2) return pinned(trajectory);
  return alongPath({ ...trajectory, path: null }, points);
}

/** No motion: the first key box stays. */
export function pinned(trajectory) {
  const { path, frames, ...rest } = trajectory;
  return withKeys(rest, [{ time: 0, box: trajectory.keys[0].box }]);
}

/** A straight way between the ends of a drawn path. */
export function straightened(trajectory) {
  const { path, ...rest } = trajectory;
  return rest;
}

export function removeKey(trajectory, k) {
  if (trajectory.keys.length === 1) return trajectory;
  if (trajectory.path) return pinned(trajectory);
  const { frames, ...rest } = trajectory;
  const keys = trajectory.keys.filter((_, i) => i !== k);
  return withKeys(rest, keys.length === 1 ? [{ ...keys[0], time: 0 }] : keys);
}

/** A key box at another time, kept between its neighbours. */
export function retime(trajectory, k, time, gap) {
  const { keys } = trajectory;
  const low = k > 0 ? keys[k - 1].time + gap : 0;
  const high = k < keys.length - 1 ? keys[k + 1].time - gap : 1;
  if (low > high) return trajectory;
  const { frames, ...rest } = trajectory;
  const clamped = Math.min(high, Math.max(low, time));
  return withKeys(rest, keys.map((key, i) => (i === k ? { ...key, time: clamped } : key)));
}

/** Two corners as a box, at least `least` wide and high. */
export function boxFrom([ax, ay], [bx, by], least) {
  const [x0, x1] = ax < bx ? [ax, Math.max(bx, ax + least)] : [Math.min(bx, ax - least), ax];
  const [y0, y1] = ay < by ? [ay, Math.max(by, ay + least)] : [Math.min(by, ay - least), ay];
  return [x0, y0, x1, y1];
}
