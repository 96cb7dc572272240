/*
 * The first thing that `npm run …` starts, on whatever Node the machine has (20 or later): installs what is missing,
 * then runs the program under the Node 26 that npm brought.
 *
 *   node src/bootstrap.js PROGRAM [ARGUMENTS]     PROGRAM relative to the project
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NODE_NEEDED = 26
const NODE_TO_START_WITH = 20

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const ownNode = join(root, 'node_modules', 'node', 'bin', 'node')

/** @param {string} message */
function fail(message) {
  console.error(`tollgate: ${message}`)
  process.exit(1)
}

function nodeMajor() {
  return Number(process.versions.node.split('.')[0])
}

/** @param {string} path */
function readPackages(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8')).packages
  } catch {
    return undefined
  }
}

/**
 * Whether node_modules holds what package-lock.json names, by npm's own record of what it installed. Times say
 * nothing: a clone and a checkout make all of them new. Optional packages may be absent (other platforms).
 */
function isInstalled() {
  const wanted = readPackages('package-lock.json')
  const installed = readPackages('node_modules/.package-lock.json')
  if (wanted === undefined || installed === undefined) return false
  return Object.entries(wanted).every(([path, entry]) => {
    const isHere = installed[path]?.version === entry.version
    return path === '' || isHere || (entry.optional && installed[path] === undefined)
  })
}

/** npm as it was called, or the one on PATH; our own bin folder is left out, as npm ci is about to delete it. */
function npmCommand() {
  const script = process.env.npm_execpath
  if (script !== undefined && basename(script) === 'npm-cli.js') {
    return [process.env.npm_node_execpath ?? process.execPath, script]
  }
  return ['npm']
}

/** The same environment with this project's bin folder taken out of PATH. */
function environmentOfNpm() {
  const bin = join(root, 'node_modules', '.bin')
  const path = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== bin)
  return { ...process.env, PATH: path.join(delimiter) }
}

/**
 * @param {string} command
 * @param {string[]} args
 * @param {import('node:child_process').SpawnOptions} options
 * @returns {Promise<number>} the exit code, 128 + the signal's number where one ended it
 */
function run(command, args, options) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options })
    forwardSignals(child)
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? 1) : endLike(signal)))
  })
}

/**
 * A terminal sends Ctrl-C to the child as well, and twice would mean "at once": it is passed on only without one.
 *
 * @param {import('node:child_process').ChildProcess} child
 */
function forwardSignals(child) {
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])) {
    process.on(signal, () => {
      const fromTerminal = signal === 'SIGINT' || signal === 'SIGQUIT'
      if (!(fromTerminal && process.stdin.isTTY)) child.kill(signal)
    })
  }
}

/** @param {NodeJS.Signals} signal */
function endLike(signal) {
  process.removeAllListeners(signal)
  process.kill(process.pid, signal)
  return 1
}

async function install() {
  const [command, ...first] = npmCommand()
  console.error('Installing what is missing (npm ci); this takes a minute or two the first time.')
  const args = [...first, 'ci', '--include=dev', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error']
  // The answers go to standard error: what the program prints may be read by another.
  const code = await run(command, args, { cwd: root, env: environmentOfNpm(), stdio: ['ignore', 2, 2] })
  if (code !== 0) fail(`npm ci failed with code ${code}; its messages are above.`)
}

/** @param {string} program @param {string[]} args */
async function start(program, args) {
  const path = join(root, program)
  if (nodeMajor() >= NODE_NEEDED) {
    process.argv = [process.execPath, path, ...args]
    await import(path)
    return
  }
  try {
    process.exitCode = await run(ownNode, [path, ...args], {})
  } catch (error) {
    fail(
      `Node ${NODE_NEEDED} does not start (${error.message}): install Node ${NODE_NEEDED} and run this again with it.`,
    )
  }
}

if (nodeMajor() < NODE_TO_START_WITH) fail(`Node ${NODE_TO_START_WITH} or later is needed, this is ${process.version}.`)
const [program, ...args] = process.argv.slice(2)
if (program === undefined) fail('which program? usage: node src/bootstrap.js PROGRAM [ARGUMENTS]')
if (!isInstalled()) await install()
if (nodeMajor() < NODE_NEEDED && !existsSync(ownNode)) {
  fail(
    `Node ${NODE_NEEDED} is missing because npm ran no install scripts; run: npm rebuild node --ignore-scripts=false --foreground-scripts`,
  )
}
await start(program, args)
