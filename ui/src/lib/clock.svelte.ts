// The present, advancing in steps coarse enough for "4 min ago".

const STEP_MS = 15_000;
let present = $state(Date.now());

setInterval(() => {
  present = Date.now();
}, STEP_MS);

export const clock = {
  get now(): number {
    return present;
  },
};
