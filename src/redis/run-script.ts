import type { Script } from './script-loader.ts'

/** What scripts need of a Redis client; an ioredis instance has it. Nothing here is ever sent inside MULTI. */
export interface ScriptClient {
  evalsha(sha1: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
  eval(source: string, keyCount: number, ...keysAndArguments: string[]): Promise<unknown>
}

/** Runs a script; a server that does not know it yet (restart, failover, SCRIPT FLUSH) gets its text. */
export type ScriptRunner = (script: Script, keys: readonly string[], args: readonly string[]) => Promise<unknown>

/** Rejects as the client does; an error inside a script names the file and line of its source. */
export function createScriptRunner(client: ScriptClient): ScriptRunner {
  return async (script, keys, args) => {
    if (keys.length !== script.keyCount) throw new TypeError(`${script.name} takes ${script.keyCount} keys`)
    try {
      return await client.evalsha(script.sha1, keys.length, ...keys, ...args)
    } catch (error) {
      if (!isNoScript(error)) throw located(error, script)
    }
    try {
      return await client.eval(script.source, keys.length, ...keys, ...args)
    } catch (error) {
      throw located(error, script)
    }
  }
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT')
}

function located(error: unknown, script: Script): unknown {
  if (!(error instanceof Error)) return error
  const match = /@?user_script:(\d+)/.exec(error.message)
  if (!match) return error
  const message = error.message.replace(match[0], script.locate(Number(match[1])))
  return new Error(message, { cause: error })
}
