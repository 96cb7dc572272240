/** The program of embedded-memory.ts: serves until its parent is gone. */
import { Server } from 'node:net'
import { createRedisServer } from 'js-redis-server'

// js-redis-server 0.3.0 listens on every address of the machine and cannot be told otherwise; without a password only
// loopback will do. This process has no other server.
const listen = Server.prototype.listen as (this: Server, port: number, host: string) => Server
Server.prototype.listen = function listenOnLoopback(this: Server, port: number): Server {
  return listen.call(this, port, '127.0.0.1')
} as typeof Server.prototype.listen

const server = await createRedisServer({ port: 0 })
process.on('disconnect', () => process.exit(0))
process.send?.({ port: server.port })
