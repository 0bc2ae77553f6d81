// The codelab's rooms on socket.io: who is in a room is told who comes and who goes, and a message goes to the others.

import { createServer as http } from 'node:http';
import { createServer as https } from 'node:https';

import { Server } from 'socket.io';

import { host, port, ready, tls } from './listening.js';

const CAPACITY = 8;

const server = tls ? https(tls) : http();
const io = new Server(server);

io.on('connection', (socket) => {
  const others = () => [...socket.rooms].filter((room) => room !== socket.id);

  socket.on('create or join', (room) => {
    const members = io.sockets.adapter.rooms.get(room)?.size ?? 0;
    if (members >= CAPACITY) {
      socket.emit('full', room);
      return;
    }
    socket.to(room).emit('join', room);
    socket.join(room);
    socket.emit(members === 0 ? 'created' : 'joined', room, socket.id);
    if (members === 1) {
      io.to(room).emit('ready');
    }
  });
  socket.on('message', (message) => socket.to(others()).emit('message', message));
  socket.on('disconnecting', () => socket.to(others()).emit('message', 'bye'));
});

server.listen(port, host, ready);
