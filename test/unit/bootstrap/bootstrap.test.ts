import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'

const SRC = fileURLToPath(new URL('../../../src/', import.meta.url))

let project: string

/** A project with our bootstrap, a lock of three packages, and an npm that only notes that it was called. */
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'bootstrap-'))
  mkdirSync(join(project, 'src'))
  cpSync(join(SRC, 'bootstrap.js'), join(project, 'src', 'bootstrap.js'))
  cpSync(join(SRC, 'tollgate.js'), join(project, 'src', 'tollgate.js'))
  write('package.json', { type: 'module' })
  writeLock('1.0.0')
  writeText('npm-cli.js', FAKE_NPM)
  writeText('program.js', `console.log(JSON.stringify(process.argv.slice(2))); process.exitCode = 7`)
})
afterEach(() => rmSync(project, { recursive: true, force: true }))

const FAKE_NPM = `
  import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
  appendFileSync('npm-calls', process.argv.slice(2).join(' ') + '\\n')
  if (process.env.NPM_FAILS) process.exit(3)
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  delete lock.packages['node_modules/other-platform']
  mkdirSync('node_modules', { recursive: true })
  writeFileSync('node_modules/.package-lock.json', JSON.stringify(lock))`

function writeText(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true })
  writeFileSync(join(project, path), text)
}

function write(path: string, value: unknown): void {
  writeText(path, JSON.stringify(value))
}

function writeLock(version: string): void {
  const packages = { '': {}, 'node_modules/a': { version }, 'node_modules/other-platform': { version, optional: true } }
  write('package-lock.json', { packages })
}

function npmCalls(): number {
  const path = join(project, 'npm-calls')
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n').length : 0
}

// As an older Node would look to our code.
const OLD_NODE = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.1.0'}})`

interface Run {
  readonly old?: boolean
  readonly env?: NodeJS.ProcessEnv
  readonly script?: string
}

async function run(args: readonly string[], { old = false, env = {}, script = 'src/bootstrap.js' }: Run = {}) {
  const flags = old ? ['--import', OLD_NODE] : []
  const child = spawn(process.execPath, [...flags, join(project, script), ...args], {
    env: { ...process.env, npm_execpath: join(project, 'npm-cli.js'), npm_node_execpath: process.execPath, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const [code, signal] = await once(child, 'close')
  return { code, signal, out, err }
}

/** The Node that npm would have brought: the one that runs this test. */
function bringNode(): void {
  mkdirSync(join(project, 'node_modules', 'node', 'bin'), { recursive: true })
  symlinkSync(process.execPath, join(project, 'node_modules', 'node', 'bin', 'node'))
}

test('what is missing is installed first, with npm ci, and not again', async () => {
  expect((await run(['program.js'])).code).toBe(7)
  await run(['program.js'])
  expect(readFileSync(join(project, 'npm-calls'), 'utf8')).toMatch(/^ci --include=dev [^\n]*\n$/)
})

test('a lock that changed is installed anew', async () => {
  await run(['program.js'])
  writeLock('1.0.1')
  await run(['program.js'])
  expect(npmCalls()).toBe(2)
})

test('a package of another platform is not missed', async () => {
  await run(['program.js'])
  expect(readFileSync(join(project, 'node_modules', '.package-lock.json'), 'utf8')).not.toContain('other-platform')
  await run(['program.js'])
  expect(npmCalls()).toBe(1)
})

test.each([
  ['in the same process', false],
  ['in the Node that npm brought, under an older one', true],
])('arguments and exit code pass, %s', async (_, old) => {
  bringNode()
  const { code, out } = await run(['program.js', '--once', 'a b', '--'], { old })
  expect([code, JSON.parse(out)]).toEqual([7, ['--once', 'a b', '--']])
})

test('a program sees nothing of the installation on its standard output', async () => {
  expect(JSON.parse((await run(['program.js'])).out)).toEqual([])
})

test.each(['SIGTERM', 'SIGHUP', 'SIGINT'] as const)('%s reaches the program under an older Node', async (signal) => {
  bringNode()
  await run(['program.js'])
  writeText(
    'waits.js',
    `process.on('${signal}', () => { console.log('told'); process.exit(5) }); process.kill(process.ppid, '${signal}'); setTimeout(() => {}, 20000)`,
  )
  expect(await run(['waits.js'], { old: true })).toMatchObject({ code: 5, out: 'told\n' })
})

test('a program ended by a signal ends the bootstrap alike', async () => {
  bringNode()
  writeText('dies.js', `process.kill(process.pid, 'SIGTERM'); setTimeout(() => {}, 20000)`)
  expect(await run(['dies.js'], { old: true })).toMatchObject({ signal: 'SIGTERM' })
})

test('npm ci that fails ends it with npm’s code in one line', async () => {
  const { code, err } = await run(['program.js'], { env: { NPM_FAILS: '1' } })
  expect([code, err.trim().split('\n').at(-1)]).toEqual([
    1,
    'tollgate: npm ci failed with code 3; its messages are above.',
  ])
})

test('without install scripts one line says how to bring Node 26', async () => {
  const { code, err } = await run(['program.js'], { old: true })
  expect([code, err.trim().split('\n').at(-1)]).toEqual([
    1,
    expect.stringMatching(/^tollgate: Node 26 .*run: npm rebuild node/),
  ])
})

test('the tollgate command under an older Node says so in one line and exits 1', async () => {
  const { code, err } = await run([], { old: true, script: 'src/tollgate.js' })
  expect([code, err.trim().split('\n').length]).toEqual([1, 1])
  expect(err).toMatch(/Node 26 or later is needed/)
})
