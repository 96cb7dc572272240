/** A bearer token that a program of the operator's prints. */
import { type ChildProcess, spawn } from 'node:child_process'

/** A token is a word: what else a program may print (a prompt, an error page) must not become a header. */
const TOKEN = /^[\x21-\x7e]{1,16384}$/
const OUTPUT_BYTES_MAX = 64 * 1024

/** Children that run now, so that they do not outlive the gateway. */
const running = new Set<ChildProcess>()

/**
 * Runs the program without a shell and takes its trimmed standard output. Rejects where it cannot be started, fails,
 * prints something else than one token, or takes longer than `timeoutMs` (it is then killed with what it started). No
 * message has a word of what it printed.
 */
export function runTokenCommand(command: readonly string[], timeoutMs: number): Promise<string> {
  const [program = '', ...args] = command
  return new Promise((resolve, reject) => {
    // A group of its own, so that what it starts can be killed with it; what it says on standard error is not kept, as
    // that may be a secret too.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'], detached: true, windowsHide: true })
    running.add(child)
    const chunks: Buffer[] = []
    let bytes = 0
    let ended = false
    const end = (failure: string | undefined): void => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      running.delete(child)
      if (failure !== undefined) {
        killGroup(child)
        child.stdout.destroy()
        reject(new Error(`${program} ${failure}`))
        return
      }
      const token = Buffer.concat(chunks).toString('utf8').trim()
      if (TOKEN.test(token)) resolve(token)
      else reject(new Error(`${program} printed ${token === '' ? 'nothing' : 'something else than one token'}`))
    }
    const timer = setTimeout(end, timeoutMs, `did not end within ${timeoutMs / 1000} s`)
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > OUTPUT_BYTES_MAX) end('printed more than a token')
      else chunks.push(chunk)
    })
    child.on('error', (error: NodeJS.ErrnoException) =>
      end(`could not be started (${error.code ?? 'no reason given'})`),
    )
    child.on('close', (code, signal) => {
      end(code === 0 ? undefined : signal === null ? `ended with code ${code}` : `was ended by ${signal}`)
    })
  })
}

export function stopTokenCommands(): void {
  for (const child of running) killGroup(child)
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has ended.
  }
}
