// What both servers are told: the port, and the directory of a certificate if they are to speak TLS.

import { readFileSync } from 'node:fs';

const [port, certificates] = process.argv.slice(2);

export const host = '127.0.0.1';
export { port };
export const tls = certificates && {
  key: readFileSync(`${certificates}/leaf.key`, 'utf8'),
  cert: readFileSync(`${certificates}/leaf.pem`, 'utf8'),
};

export function ready() {
  console.log('ready');
}
