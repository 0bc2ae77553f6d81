// PeerServer as it is, with room for everyone.

import { PeerServer } from 'peer';

import { host, port, ready, tls } from './listening.js';

PeerServer({ port, host, ssl: tls, path: '/peerjs', concurrent_limit: 100_000 }, ready);
