// Takes the registry's addresses out of package-lock.json: they name one machine's mirror. Versions and hashes stay, which is
// all that `npm ci` needs. (npm's own option for this forgets the versions of packages for other platforms.)
import { readFileSync, writeFileSync } from 'node:fs';

const path = new URL('package-lock.json', import.meta.url);
const lock = JSON.parse(readFileSync(path, 'utf8'));
for (const entry of Object.values(lock.packages)) delete entry.resolved;
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
