import type { Buffer } from 'node:buffer'
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type ConfigFiles, hotFilesOf, type SourceFile } from './parse-config.ts'
import { type Problem, shownPath } from './problem.ts'
import { FILE_BYTES_MAX } from './read-yaml.ts'
import type { Environment } from './substitute.ts'

export type LoadedFiles = { readonly files: ConfigFiles } | { readonly problems: readonly Problem[] }

/** Reads tollgate.yaml and the two files it names; a file that cannot be read is a problem in its first line. */
export async function loadConfigFiles(file: string, environment: Environment): Promise<LoadedFiles> {
  const tollgate = await loadFile(file)
  if ('problem' in tollgate) return { problems: [tollgate.problem] }
  const { entitlementsFile, pricesFile } = hotFilesOf(tollgate, environment)
  return loadHotFiles(tollgate, entitlementsFile, pricesFile)
}

/** Reads the two hot files beside a tollgate.yaml that was read before. */
export async function loadHotFiles(
  tollgate: SourceFile,
  entitlementsFile: string,
  pricesFile: string,
): Promise<LoadedFiles> {
  const [entitlements, prices] = await Promise.all([loadFile(entitlementsFile), loadFile(pricesFile)])
  if ('problem' in entitlements || 'problem' in prices) {
    return { problems: [entitlements, prices].flatMap((read) => ('problem' in read ? [read.problem] : [])) }
  }
  return { files: { tollgate, entitlements, prices } }
}

export async function loadFile(file: string): Promise<SourceFile | { readonly problem: Problem }> {
  const path = resolve(file)
  const refuse = (message: string, line = 1, column = 1) => ({
    problem: { file: shownPath(path), line, column, message },
  })
  try {
    const { size } = await stat(path)
    if (size > FILE_BYTES_MAX) return refuse(tooLarge(size))
    const bytes = await readFile(path)
    const decoded = decodeText(bytes)
    if (decoded.text === undefined)
      return refuse('not UTF-8; save the file in that encoding', decoded.line, decoded.column)
    return { file: path, text: decoded.text }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === undefined) throw error
    return refuse(
      `cannot be read: ${code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'it is a directory' : code}`,
    )
  }
}

export function tooLarge(bytes: number): string {
  return `is ${(bytes / 1024 / 1024).toFixed(1)} MiB; at most ${FILE_BYTES_MAX / 1024 / 1024} MiB`
}

function decodeText(bytes: Buffer): { text: string } | { text: undefined; line: number; column: number } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes) }
  } catch {
    const before = bytes.toString('utf8').split('\ufffd', 1)[0] ?? ''
    const lines = before.split('\n')
    return { text: undefined, line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 }
  }
}
