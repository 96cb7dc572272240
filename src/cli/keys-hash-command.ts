import { createHash } from 'node:crypto'
import { CliError } from './cli-error.ts'

/** The `sha256` line of a virtual key for entitlements.yaml. Throws CliError 2 for an empty or odd one. */
export function keyLine(key: string): string {
  const text = key.replace(/\r?\n$/, '')
  if (text === '') throw new CliError('the key is empty: pipe it in, as in  printf %s "$KEY" | tollgate keys hash', 2)
  if (!/^[\x21-\x7e]+$/.test(text)) {
    throw new CliError('the key has spaces or other characters that no HTTP header carries', 2)
  }
  return `sha256: "${createHash('sha256').update(text).digest('hex')}"\n`
}

/** The key from the argument, or from standard input, which leaves no trace in the shell's history. */
export async function keysHashCommand(argument: string | undefined, input: AsyncIterable<Uint8Array>): Promise<string> {
  if (argument !== undefined && argument !== '-') return keyLine(argument)
  const chunks: Uint8Array[] = []
  for await (const chunk of input) chunks.push(chunk)
  return keyLine(Buffer.concat(chunks).toString())
}
