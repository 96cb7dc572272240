/** nginx as a plain reverse proxy with keep-alive to the origin: the yardstick. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../test/support/free-port.ts'
import { endWithin, MEASURED_CORE, pinned } from './processes.ts'

export interface Nginx {
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

/** One process, nothing logged, streams not buffered: what an operator would write for this job. */
function config(dir: string, port: number, originPort: number): string {
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
master_process off;
pid ${join(dir, 'nginx.pid')};
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  ${folders.map((name) => `${name}_temp_path ${join(dir, name)};`).join('\n  ')}
  keepalive_requests 1000000000;
  client_body_buffer_size 32k;
  upstream origin { server 127.0.0.1:${originPort}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
    location /stream/ {
      proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`
}

export async function startNginx(dir: string, originPort: number): Promise<Nginx> {
  const port = await freePort()
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, config(dir, port, originPort))
  const [command, args] = pinned(MEASURED_CORE, 'nginx', ['-p', dir, '-e', 'stderr', '-c', file])
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const gone = once(child, 'exit')
  await untilListening(port)
  return {
    port,
    pid: child.pid as number,
    async stop() {
      child.kill('SIGTERM')
      await endWithin(child, gone, 5_000)
    },
  }
}

async function untilListening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const socket = connect({ port, host: '127.0.0.1' })
    try {
      await once(socket, 'connect')
      return
    } catch {
      await sleep(50)
    } finally {
      socket.destroy()
    }
  }
  throw new Error('nginx did not start; its message is above')
}
