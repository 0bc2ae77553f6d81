/** The address by which others know this machine. Browsers trust `localhost` without TLS, and no other. */

import { networkInterfaces } from "node:os";

export function outerAddress() {
  const all = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  const outer = all.find((each) => each.family === "IPv4" && !each.internal);
  if (!outer) throw new Error("this machine has no address but the loopback's, so no page of it is insecure");
  return outer.address;
}
