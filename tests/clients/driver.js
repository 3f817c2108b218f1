/*
 * A socket.io-client of some age, driven by JSON lines: orders on stdin, replies and events on stdout.
 *
 *   node driver.js 1|2|3|4
 *
 * Orders, each with an `id` that its one reply carries, and with the name of a `socket`:
 *   {do: 'open', url, transport: 'polling'|'websocket'|'upgrade', events: [...]}   -> {}
 *   {do: 'emit', args: [event, ...]}                        -> {}
 *   {do: 'call', args: [event, ...]}                        -> {ack: [...]}, when acknowledged
 *   {do: 'transport'}                                       -> {transport}, the one in use
 *   {do: 'close'}                                           -> {}
 * In args {"$bytes": base64} stands for a Buffer. Unasked: {socket, event, args}, among them connect,
 * disconnect and connect_error. driver.py speaks the same.
 */
'use strict';

const readline = require('readline');

const io = require('client-' + process.argv[2]);

const TRANSPORTS = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] };
const sockets = new Map();

function say(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

function revive(key, value) {
  return value && typeof value === 'object' && '$bytes' in value ? Buffer.from(value.$bytes, 'base64') : value;
}

function open(order) {
  const socket = io(order.url, {
    transports: TRANSPORTS[order.transport],
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 50,
    randomizationFactor: 0,
  });
  for (const event of ['connect', 'disconnect', ...order.events]) {
    socket.on(event, (...args) => say({ socket: order.socket, event, args }));
  }
  socket.on('connect_error', (error) =>
    say({ socket: order.socket, event: 'connect_error', args: [String(error)] }));
  sockets.set(order.socket, socket);
  return {};
}

const DO = {
  open,
  emit: (order, socket) => {
    socket.emit(...order.args);
    return {};
  },
  call: (order, socket) => {
    socket.emit(...order.args, (...ack) => say({ id: order.id, ack }));
  },
  transport: (order, socket) => ({ transport: socket.io.engine.transport.name }),
  close: (order, socket) => {
    socket.close();
    return {};
  },
};

readline.createInterface({ input: process.stdin, terminal: false })
  .on('line', (line) => {
    const order = JSON.parse(line, revive);
    const reply = DO[order.do](order, sockets.get(order.socket));
    if (reply) say({ id: order.id, ...reply });
  })
  .on('close', () => process.exit(0));
