/* What the manifest and the lock must be, whoever edits them. Plain JavaScript: runs before anything is installed. */
import { readFileSync } from 'node:fs'

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
const problems = []

for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
  for (const [name, version] of Object.entries(manifest[kind] ?? {})) {
    if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) problems.push(`${name}: "${version}" is no exact version`)
    const locked = lock.packages['']?.[kind]?.[name]
    if (locked !== version) problems.push(`${name}: package-lock.json has ${locked ?? 'nothing'}, run npm install`)
  }
}
for (const [path, entry] of Object.entries(lock.packages)) {
  const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
  if ('resolved' in entry) problems.push(`${path}: the lock names an address ("resolved")`)
  if (path !== '' && !entry.integrity) problems.push(`${path}: the lock has no checksum`)
  if (name === 'lua-script-loader') problems.push(`${path}: our scripts are loaded by our own loader`)
  // Without them npm ci refuses the lock on other platforms, and on this one with another npm.
  for (const optional of Object.keys(entry.optionalDependencies ?? {})) {
    const nested = `${path}/node_modules/${optional}`
    if (!(lock.packages[nested] || lock.packages[`node_modules/${optional}`])) {
      problems.push(`${path}: the lock lacks its optional ${optional}`)
    }
  }
}
for (const problem of problems) console.error(`package.json: ${problem}`)
if (problems.length > 0) process.exit(1)
console.log(`${Object.keys(lock.packages).length - 1} packages, all exact`)
