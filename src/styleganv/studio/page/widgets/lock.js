// Locks of content and motion, for parts that change them other than by their fields.
//
//     if (isLocked("content")) return;      says why, if it is

import { locks } from "../core/state.js";
import { toast } from "./toast.js";

/** @param {"content" | "motion"} key */
export function isLocked(key) {
  const is = locks[key].peek();
  if (is) toast(`${key === "content" ? "Content" : "Motion"} is locked.`);
  return is;
}
